package hold

import (
	"slices"
	"sync"
	"sync/atomic"
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

	mu      sync.Mutex
	hit     chan struct{} // closed when a call is kept
	got     Hit
	cut     chan struct{} // closed by Cut
	verdict chan struct{} // closed by Release and Drop
	dropped bool
}

func newHeld() *Held {
	return &Held{hit: make(chan struct{}), cut: make(chan struct{}), verdict: make(chan struct{})}
}

// Hit is closed when a call is kept: of After, when its answer has arrived. It stays open when the call never comes.
func (h *Held) Hit() <-chan struct{} { return h.hit }

// What was caught; zero before Hit.
func (h *Held) What() Hit {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got
}

// Release lets the call go on, also when its caller is dead by now or was cut off: then the call was on the wire when that
// happened, and arrives late. A hold that was not hit is taken away. Only the first of Release and Drop counts.
func (h *Held) Release() { h.decide(false) }

// Drop ends both connections: a call held Before never happens, an answer held After never arrives. A hold that was not hit is
// taken away.
func (h *Held) Drop() { h.decide(true) }

// Cut ends the caller's connection, so that it tries again, and still keeps the call: Release delivers it late, after others.
func (h *Held) Cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	closeOnce(h.cut)
}

func (h *Held) decide(drop bool) {
	h.mu.Lock()
	select {
	case <-h.verdict:
	default:
		h.dropped = drop
		close(h.verdict)
	}
	h.mu.Unlock()
	h.disarm()
}

// stay keeps a call until its verdict; cut is called when its caller is to be cut off meanwhile. false: drop it.
func (h *Held) stay(got Hit, over <-chan struct{}, cut func()) bool {
	h.mu.Lock()
	h.got = got
	closeOnce(h.hit)
	h.mu.Unlock()
	select {
	case <-h.verdict:
	case <-over:
		return false
	case <-h.cut:
		cut()
		select {
		case <-h.verdict:
		case <-over:
			return false
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.dropped
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// trap is an armed hold: it catches one call.
type trap[T any] struct {
	match func(T) bool
	when  When
	held  *Held
}

// gate has the armed holds of one proxy. Its zero value is ready.
type gate[T any] struct {
	n     atomic.Int32
	mu    sync.Mutex
	armed []*trap[T]
}

func (g *gate[T]) arm(match func(T) bool, when When) *Held {
	t := &trap[T]{match, when, newHeld()}
	t.held.disarm = func() { g.remove(t) }
	g.add(t)
	return t.held
}

// idle is true when nothing is armed: the calls need not be understood then.
func (g *gate[T]) idle() bool { return g.n.Load() == 0 }

// catch returns the oldest hold that is for this call, which is armed no longer; nil when there is none.
func (g *gate[T]) catch(call T) *trap[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range g.armed {
		if t.match(call) {
			g.armed = slices.Delete(g.armed, i, i+1)
			g.n.Add(-1)
			return t
		}
	}
	return nil
}

// add arms a hold, also again: the answer that it waited for will not come.
func (g *gate[T]) add(t *trap[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-t.held.verdict:
	default:
		g.armed = append(g.armed, t)
		g.n.Add(1)
	}
}

func (g *gate[T]) remove(t *trap[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.armed, t); i >= 0 {
		g.armed = slices.Delete(g.armed, i, i+1)
		g.n.Add(-1)
	}
}
