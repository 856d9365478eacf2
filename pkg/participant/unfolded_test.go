package participant_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
)

// bombs is a participant that cannot fold a fact that says "bomb" while broken.
func bombs() (b participant.Behavior[ledger], broken *atomic.Bool) {
	broken = new(atomic.Bool)
	broken.Store(true)
	b = doorman()
	evolve := b.Evolve
	b.Evolve = func(l ledger, fact event.Message) ledger {
		if l = evolve(l, fact); broken.Load() && slices.Contains(l.Stamped, "bomb") {
			panic("a bug")
		}
		return l
	}
	return b, broken
}

// next is the fact of the door that follows another one.
func next(after event.Event, body string) event.Event {
	e := first(after.Subject, body)
	e.ID, e.Sequence, e.PreviousID = event.MakeID(after.ID, body), after.Sequence+1, after.ID
	return e
}

// A fact that Evolve cannot take stops its order alone, wherever it is met first: by the fold of a claim, as an input,
// or by the fold after a wipe. What follows it waits behind it, and a redrive folds all of it in order.
func TestFactThatCannotBeFolded(t *testing.T) {
	bomb := func(s *stage) {
		tp := at("clerk.events.v1", "o1")
		e := first("o1", "bomb")
		for _, e := range []event.Event{e, next(e, "more")} {
			s.log.Append(tp, event.ToRecord(e, tp.Topic, tp.Partition))
		}
	}
	for name, wipe := range map[string]bool{"at a claim": false, "as an input, and after a wipe": true} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				b, broken := bombs()
				p, stop := s.play(b)
				s.hand(notes, "o1x", "a")
				s.eventually("begun", func() bool { return len(s.facts("o1x")) == 1 })
				if !wipe {
					stop()
				}
				bomb(s)
				if !wipe {
					p, stop = s.play(b)
				}
				defer func() { stop() }()
				parked := func() bool { return len(s.letters("o1")) == 2 && p.Ready() == nil }
				s.eventually("parked", parked)
				if wipe {
					s.mini.FlushAll()
				}
				s.hand(notes, "o1x", "b")
				s.hand(notes, "o2", "b")
				s.eventually("the others", func() bool { return len(s.facts("o1x")) == 2 && len(s.facts("o2")) == 1 })
				s.eventually("parked once", parked)
				s.ask(1, deadletter.Redrive, "o1", "")
				s.closes("o1", 1)
				broken.Store(false)
				s.ask(2, deadletter.Redrive, "o1", "")
				s.closes("o1", 2)
				_, o := s.order("o1")
				want(t, "state", o.State, `{"Stamped":["bomb","more"],"Until":"0001-01-01T00:00:00Z"}`)
				want(t, "waiting", len(o.Parked), 0)
			})
		})
	}
}

// A decision of an older release that this one's Evolve cannot take: nothing more of the order is decided.
func TestDecisionThatCannotBeFolded(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		b, broken := bombs()
		broken.Store(false)
		_, stop := s.play(b)
		s.hand(notes, "o1", "bomb")
		s.hand(notes, "o1", "a")
		s.eventually("decided", func() bool { return len(s.facts("o1")) == 2 })
		stop()
		broken.Store(true)
		b.FoldVersion++
		_, stop = s.play(b)
		s.hand(notes, "o1", "b")
		s.hand(notes, "o2", "b")
		s.eventually("others", func() bool { return len(s.facts("o2")) == 1 })
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 3 }) // both facts, and b
		want(t, "facts", s.facts("o1"), []string{"bomb", "a"})
		stop()
		broken.Store(false)
		b.FoldVersion++
		_, stop = s.play(b)
		defer stop()
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		s.eventually("decided", func() bool { return len(s.facts("o1")) == 3 })
		want(t, "facts", s.facts("o1"), []string{"bomb", "a", "b"})
	})
}

// An outbox that cannot be read was written by a hand that is not ours: the log knows better.
func TestUnreadableOutbox(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.log.OnProduce(unanswered("clerk.events.v1", false))
		_, stop := s.play(clerk(stamp))
		s.hand(notes, "o1", "a")
		s.eventually("stored", func() bool { return s.outbox("o1") == 1 })
		stop()
		s.log.OnProduce(nil)
		if err := s.redis.LSet(t.Context(), key("o1", "outbox"), 0, "?").Err(); err != nil {
			t.Fatal(err)
		}
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.eventually("a", func() bool { return len(s.facts("o1")) == 1 })
		s.hand(notes, "o1", "b")
		s.eventually("b", func() bool { return len(s.facts("o1")) == 2 })
		want(t, "facts", s.facts("o1"), []string{"a", "b"})
	})
}

// A release whose Evolve is wrong does not become ready and parks nothing: the one before takes over again.
func TestReleaseThatCannotFold(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		b, broken := bombs()
		broken.Store(false)
		p, stop := s.play(b)
		const orders = 2 * 150 // more than a fold may park, in each partition
		for n := range orders {
			s.hand(notes, fmt.Sprintf("o%d", n), "bomb")
		}
		s.hand(notes, "good", "a")
		s.eventually("decided", func() bool { return len(s.facts(fmt.Sprintf("o%d", orders-1))) == 1 })
		stop()
		broken.Store(true)
		b.FoldVersion++
		p, stop = s.play(b)
		s.hand(notes, "good", "b")
		s.eventually("said", func() bool {
			err := p.Ready()
			return err != nil && strings.Contains(err.Error(), "facts cannot be folded")
		})
		pass(time.Minute)
		want(t, "ready", p.Ready() == nil, false)
		stop()
		broken.Store(false)
		b.FoldVersion--
		p, stop = s.play(b)
		defer stop()
		s.eventually("goes on", func() bool { return len(s.facts("good")) == 2 && p.Ready() == nil })
		letters := 0
		for n := range orders {
			letters += len(s.letters(fmt.Sprintf("o%d", n)))
		}
		want(t, "letters", letters, 0)
	})
}
