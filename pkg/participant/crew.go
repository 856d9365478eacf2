package participant

import "sync"

// crew does work beside the cycle, so much of it at once and the rest in order. A worker goes on with what waits: its stack has grown
// already, which costs more than most calls.
type crew struct {
	size    int
	mu      sync.Mutex
	workers int
	waiting []func()
	wg      *sync.WaitGroup
}

func (c *crew) do(work func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.workers == c.size {
		c.waiting = append(c.waiting, work)
		return
	}
	c.workers++
	c.wg.Go(func() {
		for work != nil {
			work()
			work = c.next()
		}
	})
}

// next is what waits longest; nil: nothing does, and a worker less is there.
func (c *crew) next() (work func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.workers--
		return nil
	}
	work, c.waiting[0] = c.waiting[0], nil
	c.waiting = c.waiting[1:]
	return work
}
