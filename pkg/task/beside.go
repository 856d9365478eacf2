package task

import (
	"context"
	"sync"
	"time"
)

// beside is what runs beside an engine's goroutine, and how that hears of it.
type beside struct {
	running sync.WaitGroup
	inbox   chan func()   // to be called by the engine's goroutine
	awake   chan struct{} // holds one: the handler has something to take in
	ended   chan struct{} // closed when nothing is taken in any more
}

func newBeside() beside {
	return beside{inbox: make(chan func()), awake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Go runs f beside the engine, which waits for it before it ends. f reports by Post or Wake.
func (b *beside) Go(f func()) { b.running.Go(f) }

// Post has the engine's goroutine call f between two steps. It blocks until that takes it; when the engine has ended,
// f is dropped. For what Go began.
func (b *beside) Post(f func()) { b.inbox <- f }

// Do has the engine's goroutine call f between two steps, and waits for that. It may be called by anybody else, and
// has no effect when the engine has ended.
func (b *beside) Do(f func()) {
	done := make(chan struct{})
	select {
	case b.inbox <- func() { f(); close(done) }:
	case <-b.ended:
	}
	select {
	case <-done:
	case <-b.ended: // it was dropped
	}
}

// Wake has the engine call Handler.Work soon. It does not block.
func (b *beside) Wake() {
	select {
	case b.awake <- struct{}{}:
	default: // it will
	}
}

// wait blocks until something happened, at most so long, and takes in all that has.
func (b *beside) wait(ctx context.Context, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-b.awake:
	case f := <-b.inbox:
		f()
	case <-timer.C:
		return
	case <-ctx.Done():
		return
	}
	for {
		select {
		case <-b.awake:
		case f := <-b.inbox:
			f()
		default:
			return
		}
	}
}

// end takes in nothing any more, calls cancel, and waits for all that runs beside.
func (b *beside) end(cancel func()) {
	close(b.ended)
	cancel()
	done := make(chan struct{})
	go func() { b.running.Wait(); close(done) }()
	for {
		select {
		case <-b.inbox: // nobody goes on with it
		case <-done:
			return
		}
	}
}
