package mailbox

import "sync"

// once remembers the latest few keys that were put off, so that each is put off once.
type once struct {
	mu    sync.Mutex
	seen  map[string]bool
	order []string // a ring of the keys in seen
	next  int
}

func newOnce(n int) *once { return &once{seen: map[string]bool{}, order: make([]string, n)} }

// first says whether key was not there before, and puts it there in place of the oldest.
func (o *once) first(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[key] {
		return false
	}
	delete(o.seen, o.order[o.next])
	o.order[o.next] = key
	o.next = (o.next + 1) % len(o.order)
	o.seen[key] = true
	return true
}
