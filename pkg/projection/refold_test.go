package projection

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// startsGate is a log that counts how often it is asked where it begins, which only who reads it again does, and lets that wait.
// Before it has joined its group an instance asks as well, for another reason.
type startsGate struct {
	broker.Log
	joined atomic.Bool
	asked  atomic.Int64
	open   chan struct{}
}

func (l *startsGate) Join(ctx context.Context, group string, topics []string, partitions int,
	serve func(context.Context, broker.Generation) error) error {
	l.joined.Store(true)
	return l.Log.Join(ctx, group, topics, partitions, serve)
}

func (l *startsGate) Starts(ctx context.Context, logs []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	if !l.joined.Load() {
		return l.Log.Starts(ctx, logs)
	}
	l.asked.Add(1)
	select {
	case <-l.open:
		return l.Log.Starts(ctx, logs)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *stage) gated() *startsGate { return &startsGate{Log: s.log, open: make(chan struct{})} }

func (s *stage) playOn(log broker.Log) (stop func()) {
	p := New(chronicle(), Config{Log: log, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.beyondFor, p.hearEvery = time.Millisecond, time.Millisecond
	return s.run(p)
}

// sameLog are ids of so many orders of one partition.
func sameLog(n int) (ids []string) {
	for i := 0; len(ids) < n; i++ {
		if id := fmt.Sprint("many-", i); logOf(talk, id) == logOf(talk, "o") {
			ids = append(ids, id)
		}
	}
	return ids
}

// adopt has the read model lose the documents of orders, and meet them again in mid-chain.
func (s *stage) adopt(ids ...string) {
	s.t.Helper()
	b := chronicle()
	for _, id := range ids {
		s.say(talk, id, "one", "two")
	}
	_, stop := s.play(b)
	s.shows(b, ids...)
	stop()
	r := NewReader(b, s.redis)
	for _, id := range ids {
		p := logOf(talk, id).Partition
		s.forget(p, id)
		s.redis.HIncrBy(s.t.Context(), r.store.Key(p, "counts"), "words", -2)
		s.say(talk, id, "three")
	}
	_, stop = s.play(b)
	eventually(s.t, func() string {
		for _, id := range ids {
			f, _, err := r.Get(s.t.Context(), logOf(talk, id).Partition, id)
			if err != nil || strings.Join(f.Doc.Talk, " ") != "three" {
				return fmt.Sprint("not adopted: ", f.Doc, err)
			}
		}
		return ""
	})
	stop()
}

// contradict appends facts that no head allows.
func (s *stage) contradict(ids ...string) {
	for _, id := range ids {
		s.put(record2(s.t, event.Event{
			ID: event.MakeID("void", id), Sequence: 2, PreviousID: "nobody", Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "zombie",
			Subject: id, Time: time.Now(),
		}, talk, "never"))
	}
}

// refolding returns how many orders a partition's meta says are to be folded again.
func (s *stage) refolding(order string) (n int) {
	meta := s.redis.HGetAll(s.t.Context(), NewReader(chronicle(), s.redis).store.Key(logOf(talk, order).Partition, keyMeta)).Val()
	return len(refoldNotes(meta))
}

// Superseded facts read nothing again where the chains were met from their beginning.
func TestSupersededFactsReadNothingAgain(t *testing.T) {
	s := newStage(t)
	ids := sameLog(50)
	for _, id := range ids {
		s.say(talk, id, "one", "two")
	}
	log := s.gated()
	s.playOn(log)
	s.contradict(ids...)
	s.say(talk, ids[0], "three")
	s.shows(chronicle(), ids...)
	if n := log.asked.Load(); n > 0 {
		t.Errorf("the logs were read again %d times", n)
	}
}

// Contradicted orders of many partitions are folded again in one pass.
func TestContradictedOrdersShareAPass(t *testing.T) {
	s := newStage(t)
	ids := append(sameLog(300), "p", "q", "r")
	s.adopt(ids...)
	s.contradict(ids...)
	log := s.gated()
	close(log.open)
	s.playOn(log)
	s.shows(chronicle(), ids...)
	if n := log.asked.Load(); n == 0 || n > 6 {
		t.Errorf("%d passes", n)
	}
	if n := s.refolding("o") + s.refolding("p"); n > 0 {
		t.Errorf("%d orders are still noted", n)
	}
	if got, want := s.words(), 3*len(ids); got != want {
		t.Errorf("%d words counted, not %d", got, want)
	}
}

// What a pass has folded again is written in as many steps as it takes, and not read a second time: neither for the steps,
// nor for an order of which more came meanwhile and that is read on.
func TestFoldedAgainIsReadOnce(t *testing.T) {
	for _, hot := range []bool{false, true} {
		t.Run(fmt.Sprint("hot=", hot), func(t *testing.T) {
			s, b := newStage(t), chronicle()
			ids := sameLog(stepItems + 10)
			s.adopt(ids...)
			s.contradict(ids...)
			stop := s.playOn(s.gated()) // reads none again
			eventually(t, func() string {
				if n := s.refolding("o"); n < len(ids) {
					return fmt.Sprint("noted: ", n)
				}
				return ""
			})
			stop()
			log := s.gated()
			s.playOn(log)
			eventually(t, func() string {
				if log.asked.Load() == 0 {
					return "no pass has begun"
				}
				return ""
			})
			if hot {
				s.say(talk, ids[0], "four")
				eventually(t, func() string {
					f, _, err := NewReader(b, s.redis).Get(t.Context(), logOf(talk, "o").Partition, ids[0])
					if err != nil || !slices.Contains(f.Doc.Talk, "four") {
						return fmt.Sprint(f.Doc.Talk, err)
					}
					return ""
				})
			}
			close(log.open)
			eventually(t, func() string {
				if n := s.refolding("o"); n > 0 {
					return fmt.Sprint("still noted: ", n)
				}
				return ""
			})
			s.shows(b, ids...)
			if n := log.asked.Load(); n != 1 {
				t.Errorf("%d passes began at the start of the logs, not 1", n)
			}
		})
	}
}

// A misplaced fact is no fact in a pass either.
func TestMisplacedFactIsNotFoldedAgain(t *testing.T) {
	s := newStage(t)
	r := s.fact(talk, "o", "one")
	r.Partition = (r.Partition + 1) % partitions
	s.put(r)
	log := broker.TopicPartition{Topic: talk, Partition: r.Partition}
	c := newCycle(New(chronicle(), Config{Log: s.log, Redis: s.redis, Partitions: partitions}), owned{})
	o := &refold[script]{fresh: newOrder(c.b, "o")}
	pass := &refoldPass[script]{
		orders: map[inPartition]*refold[script]{{log.Partition, "o"}: o}, // noted by a release that took it for one
		at:     map[broker.TopicPartition]int64{log: 0}, until: map[broker.TopicPartition]int64{log: 1},
	}
	if err := c.readAgain(t.Context(), pass); err != nil || pass.at[log] != 1 {
		t.Fatalf("it has read until %d: %v", pass.at[log], err)
	}
	if o.fresh.Version != 0 {
		t.Errorf("folded: %v", o.fresh.Doc)
	}
}

// While an order is folded again no other waits, its own events go on, and a restart does not forget it.
func TestOthersGoOnWhileAnOrderIsFoldedAgain(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	other := sameLog(1)[0]
	s.adopt("o")
	s.contradict("o")
	log := s.gated()
	stop := s.playOn(log)
	s.say(talk, other, "one")
	s.shows(b, other)
	eventually(t, func() string {
		if log.asked.Load() == 0 {
			return "no pass has begun"
		}
		return ""
	})
	s.say(talk, "o", "four")
	s.say(talk, other, "two")
	s.shows(b, other)
	stop()
	if n := s.refolding("o"); n != 1 {
		t.Errorf("%d orders are noted, not 1", n)
	}

	log = s.gated()
	s.playOn(log)
	eventually(t, func() string {
		if log.asked.Load() == 0 {
			return "no pass has begun"
		}
		return ""
	})
	s.say(talk, "o", "five")
	s.say(talk, other, "three")
	s.shows(b, other)
	close(log.open)
	s.shows(b, "o", other)
	if got := s.words(); got != 8 {
		t.Errorf("%d words counted, not 8", got)
	}
}

// A rebuild that ends while an order waits to be folded again finds no difference, and no note is left of it.
func TestRebuildWhileAnOrderIsFoldedAgain(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.adopt("o")
	s.contradict("o")
	log := s.gated()
	s.playOn(log)
	eventually(t, func() string {
		if s.refolding("o") == 0 {
			return "not noted"
		}
		return ""
	})
	s.ask(b, false)
	door := NewRebuilds(b, s.redis, partitions)
	state := func() Rebuild { return must(door.State(t.Context()))[logOf(talk, "o").Partition] }
	eventually(t, func() string {
		if r := state(); r.State != Comparing {
			return fmt.Sprint(r.State)
		}
		return ""
	})
	close(log.open)
	s.shows(b, "o")
	eventually(t, func() string {
		if r := state(); r.State != Swapped {
			return fmt.Sprint(r.State)
		}
		return ""
	})
	if r := state(); r.Differing != 0 || s.refolding("o") != 0 {
		t.Errorf("%d keys differ: %v; %d orders are noted", r.Differing, r.Differs, s.refolding("o"))
	}
	s.shows(b, "o")
}
