package hold

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// When says on which side of its effect a call is kept back.
type When int

const (
	// Before: what the call would do has not happened.
	Before When = iota
	// After: it has happened, and the caller does not know.
	After
)

// Hit says what was caught.
type Hit struct {
	// Client is who called: the Kafka client id, or the name of the door (see Redis.Addr); it is a process of the playground.
	Client string
	// Partition of the task that called, -1 where the call does not say.
	Partition int
	// What the call was, for people.
	What string
}

// Held is one call that is, or will be, kept back. Nothing else on its connection goes on meanwhile.
type Held struct {
	disarm func()

	hit     chan struct{} // closed when a call is kept
	got     Hit           // known since then
	decided sync.Once
	verdict chan struct{} // closed by Release and Drop
	dropped bool          // known since then
}

// Hit is closed when a call is kept: of After, when its answer has arrived. It stays open when the call never comes.
func (h *Held) Hit() <-chan struct{} { return h.hit }

// Caught blocks until a call is kept, and says which. A hold that nobody has come by when ctx ends is taken away.
func (h *Held) Caught(ctx context.Context) (Hit, error) {
	select {
	case <-h.hit:
		return h.got, nil
	case <-ctx.Done():
		h.Drop()
		return Hit{}, errors.New("nobody came by")
	}
}

// Release lets the call go on, also when its caller is dead by now: then the call was on the wire when that happened, and
// arrives late. A hold that was not hit is taken away. Only the first of Release and Drop counts.
func (h *Held) Release() { h.decide(false) }

// Drop ends both connections: a call held Before never happens, an answer held After never arrives. A hold that was not hit is
// taken away.
func (h *Held) Drop() { h.decide(true) }

func (h *Held) decide(drop bool) {
	h.decided.Do(func() {
		h.dropped = drop
		close(h.verdict)
	})
	h.disarm()
}

// stay keeps a call, which is caught once, until its verdict or the end of life. false: drop it.
func (h *Held) stay(life context.Context, got Hit) bool {
	h.got = got
	close(h.hit)
	select {
	case <-h.verdict:
		return !h.dropped
	case <-life.Done():
		return false
	}
}

// call is what can be held.
type call interface{ hit() Hit }

// trap is an armed hold: it catches one call.
type trap[T call] struct {
	match func(T) bool
	when  When
	held  *Held
	call  T // that was caught
}

// keep keeps what was caught back, on the side of its effect that the hold is for. false: its connections end. A nil trap
// keeps nothing.
func (t *trap[T]) keep(life context.Context, when When) bool {
	return t == nil || t.when != when || t.held.stay(life, t.call.hit())
}

// gate has the armed holds of one proxy. Its zero value is ready.
type gate[T call] struct {
	mu    sync.Mutex
	armed []*trap[T]
}

// Hold keeps back the next call that matches, and what comes after it on the same connection. match must not block.
func (g *gate[T]) Hold(match func(T) bool, when When) *Held {
	t := &trap[T]{match: match, when: when, held: &Held{hit: make(chan struct{}), verdict: make(chan struct{})}}
	t.held.disarm = func() { g.disarm(t) }
	g.again(t)
	return t.held
}

// catch returns the oldest hold that is for this call, which is armed no longer; nil when there is none.
func (g *gate[T]) catch(c T) *trap[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.armed, func(t *trap[T]) bool { return t.match(c) })
	if i < 0 {
		return nil
	}
	t := g.armed[i]
	t.call = c
	g.armed = slices.Delete(g.armed, i, i+1)
	return t
}

// failed arms a hold again that waits for what has not happened.
func (g *gate[T]) failed(t *trap[T]) {
	if t != nil && t.when == After {
		g.again(t)
	}
}

// again arms a hold, unless its verdict is known.
func (g *gate[T]) again(t *trap[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-t.held.verdict:
	default:
		g.armed = append(g.armed, t)
	}
}

func (g *gate[T]) disarm(t *trap[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = slices.DeleteFunc(g.armed, func(other *trap[T]) bool { return other == t })
}

// proxy stands in front of servers of one protocol, whose calls it can hold.
type proxy[T call] struct {
	*doors
	gate[T]
}

// exchange passes a call on, unless a hold that is armed for it keeps it back, and returns its answer. By that done says
// whether what was called for has happened: where it has not, the hold waits for another call. false: both connections end.
func (p *proxy[T]) exchange(c T, request []byte, ask asking, done func(answer []byte) bool) (answer []byte, ok bool) {
	t := p.catch(c)
	if !t.keep(p.life, Before) {
		return nil, false
	}
	if answer, ok = ask(request); !ok || t != nil && !done(answer) {
		p.failed(t)
		return answer, ok
	}
	return answer, t.keep(p.life, After)
}
