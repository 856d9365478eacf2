package participant_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"google.golang.org/protobuf/proto"
)

// A fact that nobody asked for answers an event that is parked: the letter is told to be back, and is asked no more.
func TestParkedEventIsAnsweredInTheLog(t *testing.T) {
	for _, running := range []bool{false, true} {
		onStage(t, func(t *testing.T, s *stage) {
			d := newDoctor()
			b := clerk(d.react)
			if running { // who hears its own topic takes the fact in as it comes
				b.Subscribes = append(b.Subscribes, participant.Subscription{Topic: participant.FactsTopic(b.Name)})
			}
			_, stop := s.play(b)
			s.sick("o1", "b")
			if !running {
				stop()
			}
			late := first("o1", "poison")
			late.CausationID = s.idOf("o1", "poison")
			tp := at("clerk.events.v1", "o1")
			s.log.Append(tp, event.ToRecord(late, tp.Topic, tp.Partition))
			if !running {
				_, stop = s.play(b)
			}
			defer stop()
			s.eventually("back", func() bool { return len(s.told("o1")) == 3 })
			s.ask(1, deadletter.Redrive, "o1", "")
			s.closes("o1", 1)
			want(t, "told", s.since("o1", 2), []string{"redriven poison", "redriven b", "closed 1/0"})
			want(t, "asked", d.called(), []string{"poison", "b"})
			want(t, "facts", s.facts("o1"), []string{"poison", "b"})
			s.mini.FlushAll()
			s.eventually("folded", func() bool { return s.kept("o1") })
			want(t, "nothing waits", s.mini.Exists(key("o1", "parked")), false)
		})
	}
}

// A letter that comes late, of an event that was answered: nobody waits for it, and the log says so.
func TestLateLetterOfAnAnsweredEvent(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		s.log.OnProduce(unanswered("clerk.dead-letters.v1", false))
		_, stop := s.play(clerk(d.react))
		s.hand(notes, "o1", "poison")
		s.eventually("on the wire", func() bool { return len(s.log.Late()) > 0 })
		stop()
		s.mini.FlushAll()
		s.log.OnProduce(nil)
		d.set("poison", nil)
		_, stop = s.play(clerk(d.react))
		defer stop()
		s.eventually("answered", func() bool { return s.copies("o1") == 1 })
		s.log.AppendLate()
		s.mini.FlushAll()
		s.eventually("told", func() bool { return slices.Contains(s.told("o1"), "redriven poison") })
		want(t, "first told", s.told("o1")[0], "letter poison")
		want(t, "facts", s.facts("o1"), []string{"poison"})
		want(t, "nothing waits", s.mini.Exists(key("o1", "parked")), false)
	})
}

// What was answered after a chain was gone leaves no trace that a fold could find: the heads that letters left are not
// believed, and nothing is read from the log's start to judge what comes next.
func TestHeadsAfterTheChain(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		l := &counting{Log: s.log}
		_, stop := s.playOn(l, clerk(d.react))
		defer stop()
		s.sick("o1", "b")
		d.set("poison", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		s.hand(notes, "o1", "c")
		s.eventually("committed", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 3 })
		s.mini.FlushAll()
		s.eventually("folded", func() bool { return s.kept("o1") && s.mini.Exists(key("o2", "meta")) })
		pass(3 * time.Second)
		before := l.starts.Load()
		s.hand(notes, "o1", "d")
		s.eventually("goes on", func() bool { return len(s.facts("o1")) == 4 })
		want(t, "logs read from their start", l.starts.Load()-before, 0)
	})
}

// What waits is kept for ever, with its order; what came back leaves with a generation.
func TestWhatWaitsIsKept(t *testing.T) {
	treated(t, func(t *testing.T, s *stage, d *doctor) {
		hash, _ := s.order("o1")
		want(t, "kept in", hash, orders.KeyParked)
		d.set("poison", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		hash, _ = s.order("o1")
		want(t, "kept in a generation", strings.HasPrefix(hash, "orders:") && hash != orders.KeyParked, true)
	})
}

// A fact of the door that Evolve cannot take is parked before it is folded; its redrive folds it.
func TestFactOfTheDoorComesBack(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var broken atomic.Bool
		broken.Store(true)
		b := doorman()
		b.Subscribes[2].Types = []string{first("o1", "").Type}
		evolve := b.Evolve
		b.Evolve = func(l ledger, fact event.Message) ledger {
			if broken.Load() {
				panic("a bug")
			}
			return evolve(l, fact)
		}
		b.React = func(context.Context, ledger, event.Message) (proto.Message, error) { return nil, nil }
		_, stop := s.play(b)
		defer stop()
		tp := at("clerk.events.v1", "o1")
		s.eventually("topic", func() bool { _, ok := s.log.Topics()[tp.Topic]; return ok })
		s.log.Append(tp, event.ToRecord(first("o1", "bomb"), tp.Topic, tp.Partition))
		s.eventually("parked", func() bool { return len(s.told("o1")) == 1 })
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		broken.Store(false)
		s.ask(2, deadletter.Redrive, "o1", "")
		s.closes("o1", 2)
		want(t, "told", s.since("o1", 1), []string{"failed *1", "closed 0/1 permanent", "redriven", "closed 1/0"})
		_, o := s.order("o1")
		want(t, "state", o.State, `{"Stamped":["bomb"],"Until":"0001-01-01T00:00:00Z"}`)
	})
}

// A record without a key waits alone, and is discarded under the name that its letter gives it.
func TestDiscardWithoutAKey(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		tp := broker.TopicPartition{Topic: notes, Partition: 1}
		s.log.Append(tp, broker.Record{Value: []byte("?")})
		letters := broker.TopicPartition{Topic: "clerk.dead-letters.v1", Partition: 1}
		s.eventually("parked", func() bool { return len(s.log.Read(letters)) == 1 })
		n, err := deadletter.Parse(s.log.Read(letters)[0])
		if err != nil {
			t.Fatal(err)
		}
		want(t, "name", n.Order, "keyless:"+notes+"/1@0")
		q := deadletter.Request{ID: "r", Action: deadletter.Discard, Order: n.Order, Letter: n.ID, Partition: 1}
		s.log.Append(broker.TopicPartition{Topic: asks, Partition: 1}, q.Record("clerk"))
		s.eventually("closed", func() bool { return len(s.log.Read(letters)) == 3 })
		s.mini.FlushAll()
		s.log.Append(tp, broker.Record{Value: []byte("another")})
		s.eventually("goes on", func() bool { return len(s.log.Read(letters)) == 4 })
		want(t, "waits alone", s.mini.HGet("{clerk:1}:parked", n.Order), "")
	})
}
