package participant_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"google.golang.org/protobuf/proto"
)

var errFull = fault.Defer(0, "mailbox full")

// defers parks the note of an order as deferred, and waits until its position is committed.
func (s *stage) defers(order string) {
	s.t.Helper()
	s.hand(notes, order, "full")
	s.eventually("deferred, and passed", func() bool {
		return len(s.told(order)) > 0 && s.log.Committed("clerk")[at(notes, order)] == int64(len(s.log.Read(at(notes, order))))
	})
}

// A deferred event waits alone, its order's events behind it, until the participant redrives the chain by itself;
// nobody asks.
func TestDeferredIsRetried(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", errFull)
		p, stop := s.play(clerk(d.react))
		defer stop()
		began := time.Now()
		s.defers("o1")
		s.hand(notes, "o1", "b")
		s.hand(mails, "o1", "m1")
		s.eventually("a chain", func() bool { return len(s.told("o1")) == 3 })
		want(t, "ready", p.Ready(), nil)
		s.eventually("tried three times", func() bool { return len(s.told("o1")) == 6 })
		waited := time.Since(began)
		if first := 10 * time.Second; waited < first/2+first+2*first || waited > 8*first {
			t.Errorf("four tries took %v", waited)
		}
		d.set("full", nil)
		s.eventually("back", func() bool { return len(s.facts("o1")) == 3 })
		want(t, "facts", s.facts("o1"), []string{"full", "b", "m1"})
		want(t, "told", s.since("o1", 1), []string{"letter b", "letter m1", "failed full*1", "failed full*2", "failed full*3",
			"redriven full", "redriven b", "redriven m1"})
		s.hand(notes, "o1", "c")
		s.eventually("goes on", func() bool { return len(s.facts("o1")) == 4 })
		s.eventually("nothing is kept of it", func() bool {
			return !s.mini.Exists(key("o1", "parked")) && !s.mini.Exists(key("o1", "parked:o1")) && !s.mini.Exists(key("o1", "timers"))
		})
	})
}

// Any number of deferred orders is no outage: nothing of others waits, readiness is untouched, and the partition does
// not stop at the bound of what may wait for a person.
func TestManyDeferredAreNoOutage(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", errFull)
		p, stop := s.play(clerk(d.react))
		defer stop()
		const many = 200 // more lanes than may wait for an outage
		for n := range many {
			s.hand(notes, fmt.Sprintf("full-%d", n), "full")
		}
		for n := range many {
			order := fmt.Sprintf("good-%d", n)
			s.hand(notes, order, "a")
			s.eventually("answered at once", func() bool { return len(s.facts(order)) == 1 })
		}
		want(t, "ready", p.Ready(), nil)
		d.set("full", nil)
		for n := range many {
			order := fmt.Sprintf("full-%d", n)
			s.eventually("back", func() bool { return slices.Equal(s.facts(order), []string{"full"}) })
		}
	})
}

// What is deferred is known from the log: after a wipe, under way or while nobody plays, it is retried all the same,
// once.
func TestDeferredSurvivesAWipe(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopped %v", stopped), func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				d := newDoctor()
				d.set("full", errFull)
				_, stop := s.play(clerk(d.react))
				s.defers("o1")
				s.hand(notes, "o1", "b")
				s.eventually("tried twice", func() bool { return len(s.told("o1")) == 4 })
				if stopped {
					stop()
				}
				s.mini.FlushAll()
				if stopped {
					_, stop = s.play(clerk(d.react))
				}
				defer stop()
				s.eventually("goes on counting", func() bool { return slices.Contains(s.told("o1"), "failed full*3") })
				d.set("full", nil)
				s.eventually("back", func() bool { return len(s.facts("o1")) == 2 })
				want(t, "facts", s.facts("o1"), []string{"full", "b"})
				want(t, "copies", s.copies("o1"), 2)
			})
		})
	}
}

// Rows 2 to 4 and 8 for a retry: it dies after each batch it publishes, and Redis keeps its word, forgets, or goes
// back. The chain comes back whole, in order, each letter with one outcome.
func TestRetryDiesAnywhere(t *testing.T) {
	for _, redis := range []string{"keeps", "flushed", "restored"} {
		for point := 0; ; point++ {
			died := false
			t.Run(fmt.Sprintf("redis %s, after %d batches", redis, point), func(t *testing.T) {
				onStage(t, func(t *testing.T, s *stage) {
					d := newDoctor()
					d.set("full", errFull)
					_, stop := s.play(clerk(d.react))
					s.defers("o1")
					s.hand(notes, "o1", "b")
					s.hand(mails, "o1", "m1")
					s.eventually("a chain", func() bool { return len(s.told("o1")) == 3 && s.outbox("o1") == 0 })
					restore := s.keep()
					died = s.diesAfter(point, func() { d.set("full", nil) }, stop, func() bool { return len(s.told("o1")) >= 6 && s.outbox("o1") == 0 })
					switch redis {
					case "flushed":
						s.mini.FlushAll()
					case "restored":
						restore()
					}
					_, stop = s.play(clerk(d.react))
					defer stop()
					s.eventually("back", func() bool { return len(s.facts("o1")) == 3 && len(s.since("o1", 3)) >= 3 })
					want(t, "facts", s.facts("o1"), []string{"full", "b", "m1"})
					want(t, "copies", s.copies("o1"), 3)
					want(t, "told", s.since("o1", 3), []string{"redriven full", "redriven b", "redriven m1"})
				})
			})
			if !died || t.Failed() {
				break
			}
		}
	}
}

// An operator is not kept waiting by the next try; a chain whose head is discarded is no longer retried, and what
// fails for good waits for a person.
func TestDeferredAndAPerson(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", errFull)
		_, stop := s.play(clerk(d.react))
		defer stop()

		s.defers("o1")
		d.set("full", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "redriven at once", s.told("o1"), []string{"letter full", "redriven full", "closed 1/0"})

		d.set("full", errFull)
		s.defers("o2")
		s.hand(notes, "o2", "b")
		s.eventually("a chain", func() bool { return len(s.told("o2")) == 2 })
		s.ask(2, deadletter.Discard, "o2", "full")
		s.closes("o2", 1)

		s.defers("o3")
		d.set("full", errPoison)
		s.eventually("failed for good", func() bool { return slices.Contains(s.told("o3"), "failed full*1") })
		told := [][]string{s.told("o2"), s.told("o3")}
		s.passes(3 * time.Hour)
		want(t, "left alone", [][]string{s.told("o2"), s.told("o3")}, told)
		s.ask(3, deadletter.Redrive, "o2", "")
		s.closes("o2", 2)
		want(t, "facts", s.facts("o2"), []string{"b"})
	})
}

// The error may bound the wait: an order's deadline is not slept through.
func TestDeferredWithin(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", fault.Defer(time.Second, "not decided"))
		_, stop := s.play(clerk(d.react))
		defer stop()
		began := time.Now()
		s.defers("o1")
		s.eventually("tried ten times", func() bool { return len(s.told("o1")) == 11 })
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("ten tries within a second each took %v", took)
		}
	})
}

// A retry that comes while a person's redrive is under way is over with it: the next try is that of the new failure.
func TestRetryBehindAPerson(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", errFull)
		slow := newSlow()
		var react react = d.react
		_, stop := s.play(clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) { return react(ctx, l, m) }))
		defer stop()
		s.defers("o1")
		react = func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			_, _ = slow.react(ctx, l, m)
			return nil, errFull
		}
		s.ask(1, deadletter.Redrive, "o1", "")
		s.eventually("in work", func() bool { return slow.running() == 1 })
		s.passes(time.Minute) // the retry is due
		slow.release()
		s.closes("o1", 1)
		s.passes(5 * time.Second)
		want(t, "tries", len(slow.asked()), 1)
	})
}

// However many are due at once, few are in work.
func TestRetriesAreFew(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", errFull)
		_, stop := s.play(clerk(d.react))
		const many = 100
		for n := range many {
			s.hand(notes, fmt.Sprintf("full-%d", n), "full")
		}
		s.eventually("all deferred", func() bool { return s.parkedOrders() == many })
		stop()
		s.passes(time.Hour) // all are due
		slow := newSlow()
		_, stop = s.play(clerk(slow.react))
		defer stop()
		s.eventually("in work", func() bool { return slow.running() > 0 })
		s.hand(notes, "good", "a")
		s.eventually("others go on", func() bool { return slices.Contains(slow.asked(), "a") })
		if n := slow.running(); n > 8 {
			t.Errorf("%d retries at once", n)
		}
		slow.release()
		for n := range many {
			s.eventually("back", func() bool { return len(s.facts(fmt.Sprintf("full-%d", n))) == 1 })
		}
	})
}

// parkedOrders is how many orders the store says have letters.
func (s *stage) parkedOrders() int {
	n := 0
	for _, k := range s.mini.Keys() {
		if strings.HasSuffix(k, "}:parked") {
			fields, _ := s.mini.HKeys(k)
			n += len(fields)
		}
	}
	return n
}

// passes lets the bubble's clock go on.
func (s *stage) passes(d time.Duration) {
	timer := time.NewTimer(d) // of the bubble
	<-timer.C
}

// slow is a clerk whose answers to deferred notes wait for their release.
type slow struct {
	mu    sync.Mutex
	texts []string
	now   int
	gate  chan struct{}
}

func newSlow() *slow { return &slow{gate: make(chan struct{})} }

func (w *slow) react(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
	w.mu.Lock()
	w.texts = append(w.texts, text(m))
	w.now++
	w.mu.Unlock()
	if text(m) == "full" {
		<-w.gate
	}
	w.mu.Lock()
	w.now--
	w.mu.Unlock()
	return stamp(ctx, l, m)
}

func (w *slow) running() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *slow) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.texts)
}

func (w *slow) release() { close(w.gate) }

// What is not ready behind a deferred event goes on being retried, also when it was a person's redrive that found it
// so.
func TestNotReadyBehindADeferred(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", errFull)
		_, stop := s.play(clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if text(m) == "m1" && !slices.Contains(l.Stamped, "b") {
				return nil, fault.New(fault.NotYet, "b comes first")
			}
			return d.react(ctx, l, m)
		}))
		defer stop()
		s.defers("o1")
		s.hand(mails, "o1", "m1")
		s.eventually("a chain", func() bool { return len(s.told("o1")) == 2 })
		d.set("full", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "not ready", s.since("o1", 2), []string{"redriven full", "failed m1*1", "closed 1/1 not_yet"})
		s.hand(notes, "o1", "b")
		s.eventually("back", func() bool { return len(s.facts("o1")) == 3 })
		want(t, "facts", s.facts("o1"), []string{"full", "b", "m1"})
	})
}

// A try that meets something unavailable keeps no place: the others that are due come to theirs, and it comes again.
func TestUnavailableRetriesKeepNoPlace(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", errFull)
		d.set("bad", errFull)
		_, stop := s.play(clerk(d.react))
		defer stop()
		for n := range 8 {
			s.hand(notes, fmt.Sprintf("bad-%d", n), "bad")
		}
		s.eventually("all deferred", func() bool { return s.parkedOrders() == 8 })
		d.set("bad", fault.New(fault.Unavailable, "500 for this one"))
		s.passes(30 * time.Second)
		s.hand(notes, "o1", "full")
		s.eventually("deferred", func() bool { return s.parkedOrders() == 9 })
		d.set("full", nil)
		s.passes(3 * time.Hour)
		want(t, "facts of the ninth after three hours", s.facts("o1"), []string{"full"})
		d.set("bad", nil)
		s.eventually("the first comes back", func() bool { return len(s.facts("bad-0")) == 1 })
	})
}

// An order that the store keeps and that cannot be read, met by its retry: its task is folded anew, as when an event
// meets it.
func TestUnreadableOrderAtItsRetry(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("full", errFull)
		_, stop := s.play(clerk(d.react))
		s.defers("o1")
		s.hand(notes, "o2", "full")
		s.eventually("both", func() bool { return s.parkedOrders() == 2 })
		stop()
		s.redis.HSet(t.Context(), key("o1", "orders:parked"), "o1", "rubbish")
		_, stop = s.play(clerk(d.react))
		defer stop()
		d.set("full", nil)
		s.passes(3 * time.Hour)
		want(t, "facts", fmt.Sprint(s.facts("o1"), s.facts("o2")), "[full] [full]")
	})
}

// A deadline that passes while its order is retried waits for a clock that is right, and for the inputs, as any other.
func TestDeadlineBehindARetry(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var forget func()
		s.clock, forget = clock.New(clock.Config{MaxSkew: 10 * time.Minute})
		defer forget()
		s.mini.SetTime(time.Now())
		gate := make(chan struct{})
		var tries atomic.Int32
		b := clerk(nil)
		began := time.Now()
		deadline := began.Add(5 * time.Minute)
		b.Deadline = func(l ledger) (time.Time, bool) { return deadline, len(l.Stamped) == 1 && l.Stamped[0] == "wait" }
		var blocking atomic.Bool
		b.React = func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if text(m) == "full" {
				if blocking.Load() {
					tries.Add(1)
					<-gate
				}
				return nil, errFull
			}
			return stamp(ctx, l, m)
		}
		_, stop := s.play(b)
		defer stop()
		s.hand(notes, "o1", "wait")
		s.eventually("waiting", func() bool { return len(s.facts("o1")) == 1 })
		blocking.Store(false)
		for n := range 8 {
			s.hand(notes, fmt.Sprintf("full-%d", n), "full")
		}
		s.eventually("all deferred", func() bool { return s.parkedOrders() == 8 })
		blocking.Store(true)
		s.eventually("all at work", func() bool { return tries.Load() == 8 })
		blocking.Store(false)
		s.hand(notes, "o1", "full")
		s.eventually("deferred too", func() bool { return s.parkedOrders() == 9 })
		s.passes(20 * time.Second) // its retry is due, and waits for a place
		s.ask(1, deadletter.Discard, "o1", "full")
		s.closes("o1", 1)
		s.mini.SetTime(time.Now().Add(-30 * time.Minute)) // the clock of this machine is half an hour ahead from now on
		stopT := make(chan struct{})
		go func() {
			for {
				select {
				case <-stopT:
					return
				case <-time.After(time.Second):
					s.mini.SetTime(time.Now().Add(-30 * time.Minute))
				}
			}
		}()
		defer close(stopT)
		s.passes(6 * time.Minute) // past the deadline by the wrong clock
		want(t, "before", len(s.facts("o1")), 1)
		close(gate)
		s.passes(30 * time.Second)
		want(t, "decided by a clock that is wrong", len(s.facts("o1")), 1)
	})
}
