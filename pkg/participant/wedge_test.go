package participant_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"google.golang.org/protobuf/proto"
)

// Nothing below may stop a partition, or make it turn in circles.

// key of the clerk's task of an order.
func key(order, rest string) string {
	return fmt.Sprintf("{clerk:%d}:%s", broker.Partition([]byte(order), partitions), rest)
}

// pass lets time go by.
func pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		wait()
	}
}

// A member that the group dropped without telling it, and whose partitions nobody took over, learns it when it stores
// offsets.
func TestADroppedMemberComesBack(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		tp := at(notes, "o1")
		committed := func(n int64) func() bool {
			return func() bool { return s.log.Committed("clerk")[tp] == n }
		}
		s.hand(notes, "o1", "a")
		s.eventually("committed", committed(1))
		s.log.Expire("clerk", "member-1")
		s.hand(notes, "o1", "b")
		s.eventually("committed again", committed(2))
		want(t, "facts", s.facts("o1"), []string{"a", "b"})
	})
}

// A void fact in a door's topic, met as input after a wipe: there is no head to judge it by.
func TestVoidOwnFactAfterWipe(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(doorman())
		tp := at("clerk.events.v1", "o1")
		s.eventually("topic", func() bool { _, ok := s.log.Topics()[tp.Topic]; return ok })
		e := first("o1", "x")
		s.log.Append(tp, event.ToRecord(e, tp.Topic, tp.Partition))
		s.hand(notes, "o1", "a")
		s.eventually("commit", func() bool {
			return s.log.Committed("clerk")[tp] == 2 && s.log.Committed("clerk")[at(notes, "o1")] == 1
		})
		stop()
		s.mini.FlushAll()
		e.ID, e.Sequence, e.PreviousID, e.CausationID = "late", 4, "never-landed", "some-cause"
		s.log.Append(tp, event.ToRecord(e, tp.Topic, tp.Partition))
		p, stop := s.play(doorman())
		defer stop()
		s.eventually("passed over", func() bool { return s.log.Committed("clerk")[tp] == 3 && p.Ready() == nil })
	})
}

// What cannot be read in the store is folded again from the log.
func TestUnreadableStore(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
		hash, _ := s.order("o1")
		s.redis.HSet(t.Context(), key("o9", hash), "o9", "garbage")
		s.hand(notes, "o9", "a")
		s.eventually("answered", func() bool { return s.copies("o9") == 1 })
	})
}

// A record as large as the broker takes is parked too, and blocks nobody.
func TestLargestRecordIsParked(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		large := s.note(notes, "o1", "a")
		large.Value = slices.Repeat([]byte{0xff}, 1_048_000)
		s.log.Append(at(notes, "o1"), large)
		s.hand(notes, "o3", "b") // of the same partition
		want(t, "partition", at(notes, "o1"), at(notes, "o3"))
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 })
		s.eventually("commit", func() bool { return s.log.Committed("clerk")[at(notes, "o3")] == 2 })
	})
}

// A head that was adopted, and whose record retention took, is all there is to go by.
func TestAdoptedHeadOutlivesItsRecord(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
		s.log.Trim(at(notes, "o1"), 1)
		s.seq[notes+"o1"] = head{5, "x"}
		s.hand(notes, "o1", "void")
		s.eventually("passed over", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 2 })
		stop()
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.hand(mails, "o1", "m")
		s.eventually("goes on", func() bool { return s.copies("o1") == 2 })
	})
}

// After a wipe, late copies of facts that follow each other are met without a head: that the second names the first
// does not make them the end of the chain.
func TestLateCopiesAfterAWipe(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		tp := at(notes, "o1")
		committed := func(n int64) func() bool { return func() bool { return s.log.Committed("clerk")[tp] == n } }
		var handed []broker.Record
		for _, body := range []string{"a", "b", "c", "d"} {
			handed = append(handed, s.hand(notes, "o1", body))
		}
		s.eventually("commit", committed(4))
		s.mini.FlushAll()
		s.log.Append(tp, handed[1:3]...)
		s.eventually("commit of the copies", committed(6))
		s.hand(notes, "o1", "e")
		s.eventually("commit of the next", committed(7))
		want(t, "facts", s.facts("o1"), []string{"a", "b", "c", "d", "e"})
	})
}

// After a wipe the task goes on at what it committed itself, not at what was committed when its generation began.
func TestWipeDoesNotGoBackBehindTheCommit(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var calls atomic.Int32
		_, stop := s.play(clerk(func(context.Context, ledger, event.Message) (proto.Message, error) {
			calls.Add(1)
			return nil, nil
		}))
		defer stop()
		for i := range 100 {
			s.hand(notes, "o1", fmt.Sprint(i))
		}
		s.eventually("commit", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 100 })
		s.mini.FlushAll()
		pass(3 * time.Second)
		s.hand(notes, "o1", "last")
		s.eventually("commit", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 101 })
		want(t, "calls of React", calls.Load(), 101)
	})
}

// waiter is a clerk whose orders wait ten seconds for an end after a note "wait".
func waiter(r react) participant.Behavior[ledger] {
	b := clerk(r)
	b.Deadline = func(l ledger) (time.Time, bool) { return l.Until, !l.Until.IsZero() }
	evolve := b.Evolve
	b.Evolve = func(l ledger, fact event.Message) ledger {
		l = evolve(l, fact)
		switch l.Stamped[len(l.Stamped)-1] {
		case "wait":
			l.Until = fact.Time.Add(10 * time.Second).Truncate(time.Millisecond)
		case "":
			l.Until = time.Time{}
		}
		return l
	}
	return b
}

type counting struct {
	broker.Log
	ends, starts atomic.Int64
}

func (c *counting) Starts(ctx context.Context, l []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	c.starts.Add(1)
	return c.Log.Starts(ctx, l)
}

func (c *counting) Ends(ctx context.Context, l []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	c.ends.Add(1)
	return c.Log.Ends(ctx, l)
}

// The deadline of a parked order neither fires nor keeps asking the broker.
func TestDeadlineOfAParkedOrder(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		l := &counting{Log: s.log}
		_, stop := s.playOn(l, waiter(stamp))
		defer stop()
		s.hand(notes, "o1", "wait")
		s.eventually("fact", func() bool { return s.copies("o1") == 1 })
		bad := s.note(notes, "o1", "b")
		bad.Value = []byte{0xff}
		s.log.Append(at(notes, "o1"), bad)
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 })
		pass(20 * time.Second)
		before := l.ends.Load()
		pass(time.Minute)
		if n := l.ends.Load() - before; n > 20 {
			t.Errorf("%d ListOffsets in an idle minute", n)
		}
		want(t, "facts", s.copies("o1"), 1)
	})
}

// A deadline answered with nothing is answered: its timer goes.
func TestDeadlineAnsweredWithNothing(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		var fired atomic.Int32
		_, stop := s.play(waiter(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if m.Type == participant.DeadlinePassed {
				fired.Add(1)
				return nil, nil
			}
			return stamp(ctx, l, m)
		}))
		defer stop()
		s.hand(notes, "o1", "wait")
		s.eventually("fired", func() bool { return fired.Load() == 1 })
		s.eventually("timer gone", func() bool { z, _ := s.mini.SortedSet(key("o1", "timers")); return len(z) == 0 })
		pass(30 * time.Second)
		want(t, "fired", fired.Load(), 1)
	})
}

// An unreadable envelope is parked, and moves no head: what it says of its place cannot be trusted.
func TestUnreadableEnvelopeMovesNoHead(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "a")
		before := s.seq[notes+"o1"]
		bad := s.note(notes, "o1", "zz")
		s.seq[notes+"o1"] = before
		bad.Headers = brokertest.SetHeader(bad.Headers.Without(func(key string) bool { return key == "ce_previousid" }), "ce_sequence", []byte("50"))
		s.log.Append(at(notes, "o1"), bad)
		s.hand(notes, "o1", "b")
		s.hand(notes, "o1", "c")
		s.eventually("all parked", func() bool { return len(s.letters("o1")) == 3 })
	})
}

// Another, shorter log under an old store: nothing of the lost log is published into it.
func TestShorterLog(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
		s.log.OnProduce(func(broker.Batch) brokertest.Fate { return brokertest.Fate{Answer: brokertest.ErrLost, Drop: true} })
		s.hand(notes, "o1", "b")
		s.eventually("b waits", func() bool { return s.outbox("o1") == 1 })
		restore := s.keep()
		s.log.OnProduce(nil)
		s.eventually("b", func() bool { return s.outbox("o1") == 0 })
		stop()
		restore()
		s.log = brokertest.New()
		if err := s.log.Provision(t.Context(), []broker.Topic{{Name: notes, Partitions: partitions}, {Name: mails, Partitions: partitions}}); err != nil {
			t.Fatal(err)
		}
		p, stop := s.play(clerk(stamp))
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		pass(5 * time.Second)
		want(t, "facts of the lost log", s.copies("o1"), 0)
	})
}

// unreadable is a log of which one topic cannot be read while on.
type unreadable struct {
	broker.Log
	topic string
	err   error
	on    atomic.Bool
}

func (u *unreadable) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	got, err := u.Log.Fetch(ctx, from)
	for i := range got {
		if u.on.Load() && got[i].Topic == u.topic {
			got[i].Records, got[i].Err = nil, u.err
		}
	}
	pass(50 * time.Millisecond) // as the client does before it tells an error again
	return got, err
}

// A topic that may not be read is no silence: the instance is not ready, and says why.
func TestDeniedTopic(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.hand(mails, "o1", "a") // so that the start has something to look at
		s.hand(notes, "o1", "b")
		log := &unreadable{Log: s.log, topic: mails, err: fault.New(fault.Permanent, "topic authorization failed")}
		log.on.Store(true)
		p, stop := s.playOn(log, clerk(stamp))
		defer stop()
		pass(2 * time.Second)
		want(t, "ready", p.Ready(), "partition 0: topic authorization failed; partition 1: topic authorization failed")
		want(t, "of the other topic", s.facts("o1"), []string{"b"})
	})
}

// deniedIDs is a log whose topics' ids may not be told for a while.
type deniedIDs struct {
	broker.Log
	now atomic.Bool
}

func (l *deniedIDs) Identities(ctx context.Context, topics []string) (map[string]string, error) {
	if l.now.Load() {
		return nil, fault.New(fault.Permanent, "topic id: topic authorization failed")
	}
	return l.Log.Identities(ctx, topics)
}

// So it is while partitions are taken over: it goes on when it may.
func TestDeniedTakeover(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		log := &deniedIDs{Log: s.log}
		p, stop := s.playOn(log, clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "a")
		s.eventually("ready", func() bool { return len(s.facts("o1")) == 1 && p.Ready() == nil })
		log.now.Store(true)
		s.mini.FlushAll()
		s.eventually("said", func() bool {
			err := p.Ready()
			return err != nil && strings.Contains(err.Error(), "authorization failed")
		})
		pass(time.Minute)
		log.now.Store(false)
		s.hand(notes, "o1", "b")
		s.eventually("goes on", func() bool { return len(s.facts("o1")) == 2 && p.Ready() == nil })
	})
}

// An Evolve that panics parks the event that made it, and ends no process.
func TestEvolvePanics(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		b := clerk(stamp)
		evolve := b.Evolve
		b.Evolve = func(l ledger, fact event.Message) ledger {
			l = evolve(l, fact)
			if slices.Contains(l.Stamped, "bomb") {
				panic("a bug")
			}
			return l
		}
		_, stop := s.play(b)
		defer stop()
		s.hand(notes, "o1", "bomb")
		s.hand(notes, "o3", "a")
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 })
		s.eventually("others", func() bool { return len(s.facts("o3")) == 1 })
	})
}

// pauseScan stops a client at its first SCAN.
type pauseScan struct {
	once           atomic.Bool
	paused, resume chan struct{}
}

func (h *pauseScan) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *pauseScan) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *pauseScan) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "scan" && h.once.CompareAndSwap(false, true) {
			close(h.paused)
			<-h.resume
		}
		return next(ctx, cmd)
	}
}

// A zombie in the middle of a reset deletes nothing that the next owner wrote.
func TestResetOfAZombie(t *testing.T) {
	mini := miniredis.RunT(t)
	open := func() *redis.Client { return redis.NewClient(&redis.Options{Addr: mini.Addr()}) }
	slow, quick := open(), open()
	defer func() { _, _ = slow.Close(), quick.Close() }()
	h := &pauseScan{paused: make(chan struct{}), resume: make(chan struct{})}
	slow.AddHook(h)
	zombie, owner := taskstore.New(slow, "x"), taskstore.New(quick, "x")
	ctx := t.Context()
	claim := func(s *taskstore.Store, name string) {
		if _, err := s.Claim(ctx, 0, name); err != nil {
			t.Fatal(err)
		}
	}
	claim(zombie, "zombie")
	verdict := make(chan taskstore.Verdict)
	go func() {
		_, v, _ := zombie.Reset(ctx, "1", map[int]taskstore.Emptied{0: {Owner: "zombie"}})
		verdict <- v
	}()
	<-h.paused
	claim(owner, "owner")
	seqs, v, err := owner.Reset(ctx, "1", map[int]taskstore.Emptied{0: {Owner: "owner"}})
	if v != taskstore.Applied || err != nil {
		t.Fatal(v, err)
	}
	out := owner.Apply(ctx, []taskstore.Change{{Partition: 0, Owner: "owner", Seq: seqs[0], Ops: []taskstore.Op{
		{Cmd: "HSET", Key: owner.Key(0, "order:o1"), Args: []string{"state", "x"}},
		{Cmd: "RPUSH", Key: owner.Key(0, "outbox"), Args: []string{"fact"}},
	}}})
	want(t, "apply", out[0], taskstore.Outcome{Verdict: taskstore.Applied})
	close(h.resume)
	want(t, "the zombie is told", <-verdict, taskstore.Fenced)
	want(t, "keys", mini.Keys(), []string{"{x:0}:meta", "{x:0}:order:o1", "{x:0}:outbox"})
}
