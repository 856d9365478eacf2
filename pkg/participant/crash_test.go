package participant_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
)

// onStage runs f in a bubble of its own clock on an empty stage.
func onStage(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	mini := miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) { f(t, newStage(t, mini)) })
}

// unanswered makes every produce to a topic lose its answer: appended when land, otherwise kept for later.
func unanswered(topic string, land bool) func(broker.Batch) brokertest.Fate {
	return func(b broker.Batch) brokertest.Fate {
		if b.Topic != topic {
			return brokertest.Fate{}
		}
		return brokertest.Fate{Answer: brokertest.ErrLost, Late: !land}
	}
}

// Row 2: applied, never published; the next owner drains the outbox.
func TestDiesBetweenApplyAndPublish(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.log.OnProduce(func(b broker.Batch) brokertest.Fate {
			return brokertest.Fate{Answer: brokertest.ErrLost, Drop: b.Topic == "clerk.events.v1"}
		})
		_, stop := s.play(clerk(stamp))
		s.hand(notes, "o1", "a")
		s.eventually("apply", func() bool { return s.outbox("o1") == 1 })
		stop()
		want(t, "facts while down", s.copies("o1"), 0)
		want(t, "committed", s.log.Committed("clerk")[at(notes, "o1")], 0)
		s.log.OnProduce(nil)
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.eventually("drained", func() bool { return s.copies("o1") == 1 })
		s.eventually("trimmed", func() bool { return s.outbox("o1") == 0 })
	})
}

// Rows 2 and 8: what the new owner found in the outbox is not published yet when the store is wiped. Whoever took over
// must not have committed what it answers.
func TestTakesOverAndIsWipedBeforeItPublishes(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.log.OnProduce(func(b broker.Batch) brokertest.Fate {
			return brokertest.Fate{Answer: brokertest.ErrLost, Drop: b.Topic == "clerk.events.v1"}
		})
		_, stop := s.play(clerk(stamp))
		s.hand(notes, "o1", "a")
		s.eventually("apply", func() bool { return s.outbox("o1") == 1 })
		stop()
		p, stop := s.play(clerk(stamp))
		defer stop()
		s.eventually("taken over", func() bool { return p.Ready() == nil })
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's time: several commits
		s.mini.FlushAll()
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's time: the wipe is noticed
		s.log.OnProduce(nil)
		s.eventually("answered again", func() bool { return s.copies("o1") == 1 })
	})
}

func (s *stage) outbox(order string) int {
	p := broker.Partition([]byte(order), partitions)
	list, err := s.mini.List("{clerk:" + string(rune('0'+p)) + "}:outbox")
	if err != nil {
		return 0
	}
	return len(list)
}

// Row 3: the append comes, its answer is lost, or the append comes late, after others.
func TestProduceAnswerLost(t *testing.T) {
	for _, late := range []bool{false, true} {
		onStage(t, func(t *testing.T, s *stage) {
			_, stop := s.play(clerk(stamp))
			defer stop()
			s.log.OnProduce(unanswered("clerk.events.v1", !late))
			s.hand(notes, "o1", "a")
			s.eventually("sent", func() bool { return s.copies("o1") > 0 || len(s.log.Late()) > 0 })
			s.log.OnProduce(nil)
			s.eventually("sent again", func() bool { return s.outbox("o1") == 0 })
			s.log.AppendLate()
			s.hand(notes, "o1", "b")
			s.eventually("both", func() bool { return len(s.facts("o1")) == 2 })
			want(t, "facts", s.facts("o1"), []string{"a", "b"})
		})
	}
}

// Row 4: published, never committed: delivered again, seen.
func TestDiesBeforeCommit(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var calls atomic.Int32
		count := func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			calls.Add(1)
			return stamp(ctx, l, m)
		}
		_, stop := s.play(clerk(count))
		s.hand(notes, "o1", "a")
		s.eventually("answer", func() bool { return s.copies("o1") == 1 })
		stop()
		for _, wipe := range []bool{false, true} {
			s.log.Rewind("clerk", at(notes, "o1"), 0)
			s.forgetPositions(wipe)
			_, stop = s.play(clerk(count))
			s.hand(notes, "o1", "b"+map[bool]string{true: "2"}[wipe])
			s.eventually("next answer", func() bool { return len(s.facts("o1")) == 2+map[bool]int{true: 1}[wipe] })
			stop()
		}
		want(t, "calls of React", calls.Load(), 3)
		want(t, "facts in the log", s.copies("o1"), 3)
	})
}

// forgetPositions wipes the store, or only where it had come to in its inputs.
func (s *stage) forgetPositions(all bool) {
	if all {
		s.mini.FlushAll()
		return
	}
	for _, k := range s.mini.Keys() {
		if strings.HasSuffix(k, "}:meta") {
			fields, _ := s.mini.HKeys(k)
			for _, f := range fields {
				if strings.HasPrefix(f, "in:") {
					s.mini.HDel(k, f)
				}
			}
		}
	}
}

// Row 6: a paused owner that comes back is refused, and its produce on the wire changes nothing.
func TestZombieIsFenced(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		gate := make(chan struct{})
		var paused atomic.Bool
		slow := func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if text(m) == "a" && paused.CompareAndSwap(false, true) {
				<-gate
			}
			return stamp(ctx, l, m)
		}
		_, stop1 := s.play(clerk(slow))
		s.hand(notes, "o1", "a")
		s.eventually("paused", paused.Load)
		s.log.Expire("clerk", "member-1")
		_, stop2 := s.play(clerk(slow))
		defer stop2()
		s.eventually("the new owner answers", func() bool { return s.copies("o1") == 1 })
		close(gate)
		s.hand(notes, "o1", "b")
		s.eventually("all", func() bool { return len(s.facts("o1")) == 2 })
		stop1()
		want(t, "facts in the log", s.copies("o1"), 2)
	})
}

// Row 8: the store is wiped under load, and idle; what was decided stays decided.
func TestStoreIsWiped(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		orders := []string{"o1", "o2", "o3", "o4"}
		bodies := []string{"a", "b", "c", "d", "e"}
		for i, body := range bodies {
			for _, o := range orders {
				s.hand(notes, o, body)
			}
			if i%2 == 0 {
				s.mini.FlushAll()
			}
			wait()
		}
		for _, o := range orders {
			s.eventually("answers of "+o, func() bool { return len(s.facts(o)) == len(bodies) })
			want(t, "facts of "+o, s.facts(o), bodies)
		}
		s.mini.FlushAll() // idle
		s.eventually("noticed without any event", func() bool { return s.kept("o1") })
	})
}

// Row 8, 10: the store goes back to an older snapshot.
func TestStoreIsRestored(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return len(s.facts("o1")) == 1 && s.outbox("o1") == 0 })
		restore := s.keep()
		s.hand(notes, "o1", "b")
		s.hand(notes, "o2", "x")
		s.eventually("b", func() bool { return len(s.facts("o1")) == 2 && len(s.facts("o2")) == 1 })
		restore()
		s.hand(notes, "o1", "c")
		s.eventually("c", func() bool { return len(s.facts("o1")) == 3 })
		want(t, "facts", s.facts("o1"), []string{"a", "b", "c"})
		want(t, "facts", s.facts("o2"), []string{"x"})
	})
}

// Row 10: wiped while a produce is on the wire, and the produce lands after the next decision: the first valid fact in
// the log wins.
func TestWipedWithProduceOnTheWire(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		// The answer depends on what came first: after the wipe, mails are read before notes.
		_, stop := s.play(clerk(stamp))
		s.log.OnProduce(unanswered("clerk.events.v1", false))
		s.hand(notes, "o1", "a")
		s.eventually("on the wire", func() bool { return len(s.log.Late()) > 0 })
		stop()
		s.mini.FlushAll()
		s.log.OnProduce(nil)
		s.hand(mails, "o1", "m")
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.eventually("decided anew", func() bool { return len(s.facts("o1")) == 2 })
		decided := s.facts("o1")
		s.log.AppendLate()
		s.hand(notes, "o1", "b")
		s.eventually("goes on", func() bool { return len(s.facts("o1")) == 3 })
		want(t, "facts", s.facts("o1"), append(decided, "b"))
	})
}

// The log wins: a fact of a zombie that is first in the log replaces what this task decided.
func TestLogContradictsDecision(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return len(s.facts("o1")) == 1 })
		// A zombie's answer to a mail gets into the log while this task decides about a note: both call themselves second.
		hold := make(chan struct{})
		s.log.OnProduce(func(broker.Batch) brokertest.Fate { return brokertest.Fate{Hold: hold} })
		s.hand(notes, "o1", "b")
		s.eventually("b applied", func() bool { return s.outbox("o1") == 1 })
		mail := s.note(mails, "o1", "m")
		cause, _ := event.FromRecord(mail)
		first, _ := event.FromRecord(s.log.Read(at("clerk.events.v1", "o1"))[0])
		typ := first.Type
		z := event.Event{
			ID: event.FactID(cause.ID, "clerk", typ), Type: typ, Source: "clerk", Subject: "o1", Time: time.Now(), Sequence: 2,
			PreviousID: first.ID, CausationID: cause.ID,
		}
		z.Data = append([]byte{0x0a, 1}, 'm')
		tp := at("clerk.events.v1", "o1")
		s.log.Append(tp, event.ToRecord(z, tp.Topic, tp.Partition))
		close(hold)
		s.log.OnProduce(nil)
		s.log.Append(at(mails, "o1"), mail)
		s.eventually("both answered", func() bool { return len(s.facts("o1")) == 3 })
		want(t, "facts", s.facts("o1"), []string{"a", "m", "b"})
	})
}

// Row 13: unavailable waits without end and is never parked.
func TestOutageIsWaitedOut(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var up atomic.Bool
		_, stop := s.play(clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if !up.Load() {
				return nil, fault.New(fault.Unavailable, "gateway down")
			}
			return stamp(ctx, l, m)
		}))
		defer stop()
		s.hand(notes, "o1", "a")
		s.hand(notes, "o1", "b")
		for range 100 * 60 * 3 { // three minutes
			wait()
		}
		want(t, "letters", len(s.letters("o1")), 0)
		up.Store(true)
		s.eventually("both", func() bool { return len(s.facts("o1")) == 2 })
		want(t, "facts", s.facts("o1"), []string{"a", "b"})
	})
}

// Row 14: poison stops one order, with everything behind it in order; the others flow.
func TestPoisonParksItsOrderOnly(t *testing.T) {
	for name, bad := range map[string]func() (proto.Message, error){
		"permanent": func() (proto.Message, error) { return nil, fault.New(fault.Permanent, "no such account") },
		"panic":     func() (proto.Message, error) { panic("a bug") },
		"transient": func() (proto.Message, error) { return nil, errors.New("who knows") },
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				b := clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
					if text(m) == "poison" {
						return bad()
					}
					return stamp(ctx, l, m)
				})
				_, stop := s.play(b)
				for _, body := range []string{"a", "poison", "b", "c"} {
					s.hand(notes, "o1", body)
					s.hand(notes, "o2", strings.Replace(body, "poison", "p", 1))
				}
				s.hand(mails, "o1", "m")
				s.eventually("others", func() bool { return len(s.facts("o2")) == 4 })
				s.eventually("parked", func() bool { return len(s.letters("o1")) == 4 })
				s.eventually("commit", func() bool {
					c := s.log.Committed("clerk")
					return c[at(notes, "o1")] == int64(len(s.log.Read(at(notes, "o1")))) && c[at(mails, "o1")] == 1
				})
				stop()
				want(t, "facts", len(s.facts("o1")) <= 2, true) // a, and m when it came before the poison
				letter := s.log.Read(at("clerk.dead-letters.v1", "o1"))[0]
				want(t, "class", header(letter, "__dlq.errors.class"), name1(name))
				s.mini.FlushAll() // the dead-letter topic alone rebuilds the parked set
				_, stop = s.play(b)
				defer stop()
				s.hand(notes, "o1", "d")
				s.eventually("parked behind", func() bool { return len(s.letters("o1")) == 5 })
			})
		})
	}
}

func name1(name string) string {
	if name == "panic" {
		return "permanent"
	}
	return name
}

// An undecodable record is parked, whatever is wrong with it, and loses no other.
func TestUndecodableIsParked(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		garbage := s.note(notes, "o1", "a")
		garbage.Value = []byte{0xff, 0xff}
		s.log.Append(at(notes, "o1"), garbage)
		noEnvelope := broker.Record{Key: []byte("o2"), Value: []byte("{}")}
		s.log.Append(at(notes, "o2"), noEnvelope)
		s.hand(notes, "o3", "c")
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 && len(s.letters("o2")) == 1 })
		s.eventually("answered", func() bool { return len(s.facts("o3")) == 1 })
	})
}

// A cause that is not there yet: held, with its own source behind it; other sources pass and free it.
func TestHeldUntilItsCauseCame(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		b := clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if text(m) == "m1" && !slices.Contains(l.Stamped, "b") {
				return nil, fault.New(fault.NotYet, "b is missing")
			}
			return stamp(ctx, l, m)
		})
		_, stop := s.play(b)
		s.hand(mails, "o1", "m1")
		s.hand(mails, "o1", "m2")
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return len(s.facts("o1")) == 1 })
		want(t, "committed mails", s.log.Committed("clerk")[at(mails, "o1")], 0)
		stop() // held events survive a restart
		_, stop = s.play(b)
		defer stop()
		s.hand(notes, "o1", "b")
		s.eventually("all", func() bool { return len(s.facts("o1")) == 4 })
		want(t, "facts", s.facts("o1"), []string{"a", "b", "m1", "m2"})
		s.hand(mails, "o2", "m1")
		s.eventually("parked when the cause never comes", func() bool { wait(); return len(s.letters("o2")) == 1 })
	})
}

// Row 8, 17: deadlines fire, also after a wipe while idle, and never before what the log holds.
func TestDeadlines(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		b := clerk(stamp)
		b.Deadline = func(l ledger) (time.Time, bool) { return l.Until, !l.Until.IsZero() }
		evolve := b.Evolve
		b.Evolve = func(l ledger, fact event.Message) ledger {
			l = evolve(l, fact)
			switch last := l.Stamped[len(l.Stamped)-1]; last {
			case "wait":
				l.Until = fact.Time.Add(time.Minute).Truncate(time.Millisecond)
			case "":
				l.Until = time.Time{}
			}
			return l
		}
		_, stop := s.play(b)
		defer stop()
		s.hand(notes, "o1", "wait")
		s.hand(notes, "o2", "wait")
		s.eventually("waiting", func() bool { return len(s.facts("o1")) == 1 && len(s.facts("o2")) == 1 })
		s.mini.FlushAll()
		s.eventually("fired", func() bool { return len(s.facts("o1")) == 2 && len(s.facts("o2")) == 2 })
		s.mini.FlushAll()
		s.hand(notes, "o1", "z")
		s.eventually("on", func() bool { return len(s.facts("o1")) == 3 })
		want(t, "facts", strings.Join(s.facts("o1"), ","), "wait,,z")
	})
}

// A clock that differs from Redis's beyond the bound decides no deadline, says so, and goes on when it is right again;
// no fact is dated into the future.
func TestASkewedClockDecidesNoDeadline(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var forget func()
		s.clock, forget = clock.New(clock.Config{MaxSkew: 10 * time.Minute})
		defer forget()
		b := clerk(stamp)
		deadline := time.Now().Add(-15 * time.Minute) // by Redis's clock it is in a quarter of an hour
		b.Deadline = func(l ledger) (time.Time, bool) { return deadline, len(l.Stamped) == 1 }
		theirs := time.Now().Add(-30 * time.Minute)
		s.mini.SetTime(theirs)
		skewed := false
		b.React = func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			skewed = participant.Skewed(ctx)
			return stamp(ctx, l, m)
		}
		p, stop := s.play(b)
		defer stop()
		s.hand(notes, "o1", "wait")
		s.eventually("waiting", func() bool { return len(s.facts("o1")) == 1 })
		for _, r := range s.log.Read(at("clerk.events.v1", "o1")) {
			if e, err := event.FromRecord(r); err != nil || e.Time.After(theirs.Add(time.Minute)) {
				t.Errorf("a fact is dated %s, %v; Redis says it is %s", e.Time, err, theirs)
			}
		}
		if !skewed {
			t.Error("React is not told")
		}
		time.Sleep(time.Minute) //nolint:forbidigo // inside a bubble: its clock
		if got := s.facts("o1"); len(got) != 1 {
			t.Errorf("decided %q by a clock that is wrong", got)
		}
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "clock") {
			t.Errorf("ready: %v", err)
		}
		s.mini.SetTime(time.Now())
		s.eventually("fired", func() bool { return len(s.facts("o1")) == 2 && p.Ready() == nil })
	})
}

// Row 11: a release that changes Evolve folds again before the first event.
func TestNewFoldVersion(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return len(s.facts("o1")) == 1 })
		stop()
		var got atomic.Value
		b := clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			got.Store(strings.Join(l.Stamped, ","))
			return stamp(ctx, l, m)
		})
		b.FoldVersion++
		b.Evolve = func(l ledger, fact event.Message) ledger {
			l.Stamped = append(slices.Clone(l.Stamped), "new")
			return l
		}
		_, stop = s.play(b)
		defer stop()
		s.hand(notes, "o1", "b")
		s.eventually("b", func() bool { return len(s.facts("o1")) == 2 })
		want(t, "state folded by the new code", got.Load(), "new")
	})
}

// A fact leaves only when the store has it: with the store down, nothing is published, and nothing is lost.
func TestNothingLeavesBeforeTheStoreHasIt(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var asked atomic.Bool
		_, stop := s.play(clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if asked.CompareAndSwap(false, true) {
				s.mini.SetError("LOADING Redis is loading the dataset in memory")
			}
			return stamp(ctx, l, m)
		}))
		defer stop()
		s.hand(notes, "o1", "a")
		s.eventually("asked", asked.Load)
		for range 300 { // three seconds
			wait()
		}
		want(t, "facts while the store is down", s.copies("o1"), 0)
		s.mini.SetError("")
		s.eventually("published", func() bool { return s.copies("o1") == 1 })
	})
}

// Two deciders, one log: what the source's own chain calls void is answered by nobody, whenever it comes.
func TestVoidFactIsPassedOver(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "a")
		before := s.seq[notes+"o1"]
		s.hand(notes, "o1", "b")
		after := s.seq[notes+"o1"]
		s.seq[notes+"o1"] = before
		s.hand(notes, "o1", "another b") // the second decision about the same place
		s.seq[notes+"o1"] = after
		s.hand(notes, "o1", "c")
		s.eventually("c", func() bool { return slices.Contains(s.facts("o1"), "c") })
		want(t, "facts", s.facts("o1"), []string{"a", "b", "c"})
	})
}

// After the store was wiped a void fact may be taken for a head; a later fact that contradicts it has the chain read
// from the log.
func TestAdoptedHeadIsCheckedAgainstTheLog(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		for _, body := range []string{"a", "b"} {
			s.hand(notes, "o1", body)
		}
		before := s.seq[notes+"o1"]
		s.eventually("b", func() bool { return len(s.facts("o1")) == 2 })
		s.eventually("commit", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 2 })
		stop()
		s.mini.FlushAll()
		s.seq[notes+"o1"] = head{1, "never was"}
		s.hand(notes, "o1", "void")
		s.seq[notes+"o1"] = before
		s.hand(notes, "o1", "c")
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.eventually("c", func() bool { return slices.Contains(s.facts("o1"), "c") })
	})
}

// The known limit: with no later fact of its order to contradict it, a void fact that comes after a wipe is taken for
// valid.
func TestVoidFactAfterAWipeAndAllElseIsTaken(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		for _, body := range []string{"a", "b"} {
			s.hand(notes, "o1", body)
		}
		s.eventually("b", func() bool { return len(s.facts("o1")) == 2 })
		s.eventually("commit", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 2 })
		stop()
		s.mini.FlushAll()
		s.seq[notes+"o1"] = head{1, "never was"}
		s.hand(notes, "o1", "void")
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.eventually("the void fact is answered: say so where the limit is told no more", func() bool { return slices.Contains(s.facts("o1"), "void") })
	})
}

// Row 4, 7: a duplicate behind an event that takes its time has nothing to write; it must not be forgotten for that.
func TestDuplicateBehindASlowOrderIsCommitted(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		slow, quick := "o1", "o3" // of one partition
		want(t, "partition", at(notes, slow), at(notes, quick))
		asked, gate := make(chan struct{}), make(chan struct{})
		_, stop := s.play(clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if m.Subject == slow {
				close(asked)
				<-gate
			}
			return stamp(ctx, l, m)
		}))
		defer stop()
		r := s.hand(notes, quick, "a")
		s.eventually("answer", func() bool { return s.copies(quick) == 1 })
		s.hand(notes, slow, "b")
		<-asked
		s.log.Append(at(notes, quick), r)
		for range 5 {
			wait()
		}
		close(gate)
		s.eventually("commit", func() bool { return s.log.Committed("clerk")[at(notes, quick)] == 3 })
	})
}
