package participant_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/proto"
)

// Row 15: a redrive dies at every point of it, and Redis keeps its word, forgets, or goes back. It resumes: what came
// back stays back, the rest is run, everything has its outcome once.
func TestRedriveDiesAnywhere(t *testing.T) {
	for name, ask := range map[string]struct {
		action deadletter.Action
		letter string
		bad    string // fails again
		facts  []string
		told   []string
	}{
		"redrive": {deadletter.Redrive, "", "", []string{"poison", "b", "m1", "c"},
			[]string{"redriven poison", "redriven b", "redriven m1", "redriven c", "closed 4/0"}},
		"fails again": {deadletter.Redrive, "", "m1", []string{"poison", "b"},
			[]string{"redriven poison", "redriven b", "failed m1*1", "closed 2/2 permanent"}},
		"edit": {deadletter.Edit, "poison", "c", []string{"edited", "b", "m1"},
			[]string{"edited poison", "redriven b", "redriven m1", "failed c*1", "closed 3/1 permanent"}},
		"discard": {deadletter.Discard, "b", "", nil, []string{"discarded b", "closed 0/3"}},
	} {
		for _, redis := range []string{"keeps", "flushed", "restored"} {
			for point := 0; ; point++ {
				died := false
				t.Run(fmt.Sprintf("%s, redis %s, after %d batches", name, redis, point), func(t *testing.T) {
					onStage(t, func(t *testing.T, s *stage) {
						d := newDoctor()
						_, stop := s.play(clerk(d.react))
						s.sick("o1", "b", "m1", "c")
						s.eventually("letters settled", func() bool { return s.outbox("o1") == 0 })
						restore := s.keep()
						d.set("poison", nil)
						d.set(ask.bad, errPoison)
						died = s.diesAfter(point, func() { s.ask(1, ask.action, "o1", ask.letter) }, stop,
							func() bool { return s.log.Committed("clerk")[at(asks, "o1")] == 1 })
						switch redis {
						case "flushed":
							s.mini.FlushAll()
						case "restored":
							restore()
						}
						_, stop = s.play(clerk(d.react))
						defer stop()
						s.closes("o1", 1)
						want(t, "facts", s.facts("o1"), ask.facts)
						want(t, "copies of facts", s.copies("o1"), len(ask.facts))
						want(t, "told", s.since("o1", 4), ask.told)
						s.finish(d, ask.bad)
					})
				})
				if !died {
					break
				}
			}
		}
	}
}

// finish heals an order and redrives what still waits of it: nothing of it is lost, or answered twice.
func (s *stage) finish(d *doctor, bad string) {
	d.set(bad, nil)
	before := len(s.facts("o1"))
	waiting := 4
	for _, told := range s.since("o1", 4) {
		if verb, _, _ := strings.Cut(told, " "); verb == "redriven" || verb == "edited" || verb == "discarded" {
			waiting--
		}
	}
	s.ask(2, deadletter.Redrive, "o1", "")
	s.closes("o1", 2)
	want(s.t, "came back at last", len(s.facts("o1")), before+waiting)
}

// diesAfter lets an instance die at the batch after the nth since it began something; false when there was none such.
func (s *stage) diesAfter(n int, begin, stop func(), ended func() bool) (died bool) {
	var batches atomic.Int64
	s.log.OnProduce(func(broker.Batch) brokertest.Fate {
		if batches.Add(1) <= int64(n) {
			return brokertest.Fate{}
		}
		return brokertest.Fate{Answer: brokertest.ErrLost, Drop: true}
	})
	begin()
	s.eventually("dies or ends", func() bool { return batches.Load() > int64(n) || ended() })
	stop()
	s.log.OnProduce(nil)
	return batches.Load() > int64(n)
}

// Row 15: the answers of all batches of a redrive are lost, and late copies come after others: one effect, one outcome.
func TestRedriveWithLateCopies(t *testing.T) {
	for _, late := range []bool{false, true} {
		treated(t, func(t *testing.T, s *stage, d *doctor) {
			d.set("poison", nil)
			var batches atomic.Int64
			s.log.OnProduce(func(broker.Batch) brokertest.Fate {
				if batches.Add(1)%2 == 0 {
					return brokertest.Fate{}
				}
				return brokertest.Fate{Answer: brokertest.ErrLost, Late: late}
			})
			s.ask(1, deadletter.Redrive, "o1", "")
			s.closes("o1", 1)
			s.log.OnProduce(nil)
			s.log.AppendLate()
			s.hand(notes, "o1", "d")
			s.eventually("goes on", func() bool { return len(s.facts("o1")) == 4 })
			s.mini.FlushAll()
			s.eventually("folded", func() bool { return s.kept("o1") })
			s.hand(notes, "o1", "e")
			s.eventually("goes on", func() bool { return len(s.facts("o1")) == 5 })
			want(t, "facts", s.facts("o1"), []string{"poison", "b", "c", "d", "e"})
			want(t, "asked", d.called(), []string{"poison", "b", "c", "d", "e"})
			want(t, "nothing waits", s.mini.Exists(key("o1", "parked")), false)
		}, "b", "c")
	}
}

// Row 9: the store is wiped when a letter is decided, and a fact before it is not in the log yet. The chain keeps its
// order.
func TestWipedBetweenFactAndLetter(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		s.log.OnProduce(func(b broker.Batch) brokertest.Fate {
			if b.Topic == "clerk.events.v1" {
				return brokertest.Fate{Answer: brokertest.ErrLost, Drop: true}
			}
			return brokertest.Fate{}
		})
		_, stop := s.play(clerk(d.react))
		defer stop()
		for _, body := range []string{"a", "poison", "b"} {
			s.hand(notes, "o1", body)
		}
		s.eventually("all decided", func() bool { return s.outbox("o1") == 3 })
		want(t, "letters before their fact", s.told("o1"), []string{})
		s.mini.FlushAll()
		s.log.OnProduce(nil)
		s.eventually("parked again", func() bool { return len(s.told("o1")) == 2 })
		d.set("poison", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "facts", s.facts("o1"), []string{"a", "poison", "b"})
		want(t, "told", s.told("o1"), []string{"letter poison", "letter b", "redriven poison", "redriven b", "closed 2/0"})
	})
}

// Row 6, 15: whoever redrives is paused in the middle of it; the next owner runs the chain, the first is refused.
func TestZombieRedrives(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		gate := make(chan struct{})
		var paused atomic.Bool
		b := clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			fact, err := d.react(ctx, l, m)
			if text(m) == "b" && paused.CompareAndSwap(false, true) {
				<-gate
			}
			return fact, err
		})
		_, stop1 := s.play(b)
		s.sick("o1", "b", "c")
		d.set("poison", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.eventually("paused", paused.Load)
		s.log.Expire("clerk", "member-1")
		_, stop2 := s.play(b)
		defer stop2()
		s.closes("o1", 1)
		close(gate)
		stop1()
		want(t, "facts", s.facts("o1"), []string{"poison", "b", "c"})
		want(t, "copies", s.copies("o1"), 3)
		want(t, "told", s.since("o1", 3), []string{"redriven poison", "redriven b", "redriven c", "closed 3/0"})
	})
}
