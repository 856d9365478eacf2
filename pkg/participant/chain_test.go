package participant_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// rereading is a log that counts what is read back of one partition of notes: by large requests for it alone, since
// the cycle asks for all that its tasks hear together, and the look at a start for little. A gate holds them up.
type rereading struct {
	broker.Log
	log broker.TopicPartition

	mu       sync.Mutex
	begun    int // readings, from the log's start
	records  int // that they brought
	gate     chan struct{}
	canceled int  // readings, at the gate
	held     bool // no commit gets through
}

func (l *rereading) Join(ctx context.Context, group string, topics []string, partitions int,
	serve func(context.Context, broker.Generation) error) error {
	return l.Log.Join(ctx, group, topics, partitions, func(ctx context.Context, g broker.Generation) error {
		return serve(ctx, committing{g, l})
	})
}

// hold lets commits through no more, or again: where a wiped task goes on is certain while they are held.
func (l *rereading) hold(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = held
}

// committing is a generation of a log that may hold commits.
type committing struct {
	broker.Generation
	log *rereading
}

func (c committing) Commit(ctx context.Context, offsets map[broker.TopicPartition]int64) error {
	c.log.mu.Lock()
	held := c.log.held
	c.log.mu.Unlock()
	if held {
		return fault.New(fault.Unavailable, "commits are held")
	}
	return c.Generation.Commit(ctx, offsets)
}

func (l *rereading) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	if len(from) > 1 || from[0].TopicPartition != l.log || from[0].MaxBytes < 1<<20 {
		return l.Log.Fetch(ctx, from)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if from[0].Offset == 0 {
		l.begun++
	}
	if gate := l.gate; gate != nil {
		l.mu.Unlock()
		select {
		case <-gate:
			l.mu.Lock()
		case <-ctx.Done():
			l.mu.Lock()
			l.canceled++
			return nil, ctx.Err()
		}
	}
	got, err := l.Log.Fetch(ctx, from)
	for _, f := range got {
		l.records += len(f.Records)
	}
	return got, err
}

func (l *rereading) read() (begun, records int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun, l.records
}

// manyOrders are ids of so many orders whose notes lie in one partition.
func manyOrders(n int) (ids []string, tp broker.TopicPartition) {
	tp = at(notes, "o1")
	for i := 0; len(ids) < n; i++ {
		if id := fmt.Sprint("many-", i); at(notes, id) == tp {
			ids = append(ids, id)
		}
	}
	return ids, tp
}

// supersede appends another decision in the place of the last note of each order.
func (s *stage) supersede(ids []string) {
	for _, id := range ids {
		h := s.seq[notes+id]
		e, err := event.FromRecord(s.note(notes, id, "superseded"))
		if err != nil {
			s.t.Fatal(err)
		}
		s.seq[notes+id] = h
		e.Sequence, e.PreviousID = h.seq, "another"
		s.log.Append(at(notes, id), event.ToRecord(e, notes, at(notes, id).Partition))
	}
}

func (s *stage) committed(tp broker.TopicPartition) func() bool {
	return func() bool { return s.log.Committed("clerk")[tp] == int64(len(s.log.Read(tp))) }
}

const many = 500

// A task that read from the log's start knows where each chain began: nothing is read back, however many facts are
// superseded.
func TestSupersededFactsReadNothingBack(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ids, tp := manyOrders(many)
		l := &rereading{Log: s.log, log: tp}
		_, stop := s.playOn(l, clerk(stamp))
		for _, body := range []string{"a", "b", "c"} {
			for _, id := range ids {
				s.hand(notes, id, body)
			}
		}
		s.eventually("commit", s.committed(tp))
		stop() // what the store keeps of it outlives the instance
		_, stop = s.playOn(l, clerk(stamp))
		defer stop()
		s.supersede(ids)
		s.hand(notes, ids[0], "d")
		s.eventually("commit", s.committed(tp))
		want(t, "facts", s.facts(ids[0]), []string{"a", "b", "c", "d"})
		want(t, "facts", s.facts(ids[1]), []string{"a", "b", "c"})
		if begun, records := l.read(); begun+records > 0 {
			t.Errorf("read back %d times, %d records", begun, records)
		}
	})
}

// After a wipe every head is adopted. All orders that wait share a reading, and each is read back once.
func TestContradictionsShareAReading(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ids, tp := manyOrders(many)
		l := &rereading{Log: s.log, log: tp}
		_, stop := s.playOn(l, clerk(stamp))
		defer stop()
		for _, body := range []string{"a", "b", "c"} {
			for _, id := range ids {
				s.hand(notes, id, body)
			}
		}
		s.eventually("commit", s.committed(tp))
		s.mini.FlushAll()
		s.eventually("folded", func() bool { return s.kept(ids[0]) })
		for _, id := range ids {
			s.hand(notes, id, "d")
		}
		s.eventually("commit", s.committed(tp))
		l.mu.Lock()
		l.gate = make(chan struct{})
		l.mu.Unlock()
		s.supersede(ids)
		synctest.Wait() // the first reading is held up; all others wait for the second
		close(l.gate)
		s.eventually("commit", s.committed(tp))
		s.supersede(ids) // the heads are confirmed
		s.eventually("commit", s.committed(tp))
		for _, id := range ids {
			want(t, "facts", s.facts(id), []string{"a", "b", "c", "d"})
		}
		begun, records := l.read()
		if length := len(s.log.Read(tp)); begun == 0 || begun > 2 || records > 2*length {
			t.Errorf("read back %d times, %d records of a log of %d", begun, records, length)
		}
	})
}

// While a chain is read back its order waits, and no other. Who leaves, or loses the task, does not wait for it.
func TestOthersGoOnWhileAChainIsReadBack(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ids, tp := manyOrders(2)
		slow, quick := ids[0], ids[1]
		l := &rereading{Log: s.log, log: tp}
		_, stop := s.playOn(l, clerk(stamp))
		for _, body := range []string{"a", "b"} {
			s.hand(notes, slow, body)
		}
		s.eventually("commit", s.committed(tp))
		wipe := func() {
			s.mini.FlushAll()
			s.eventually("folded", func() bool { return s.kept(slow) })
		}
		wipe()
		l.mu.Lock()
		l.gate = make(chan struct{})
		l.mu.Unlock()
		l.hold(true) // after the next wipe "c" is met first, and not what is superseded
		s.hand(notes, slow, "c")
		s.supersede([]string{slow})
		s.hand(notes, slow, "d")
		s.hand(notes, quick, "q")
		s.eventually("others", func() bool { return slices.Equal(s.facts(quick), []string{"q"}) })
		want(t, "the order that waits", s.facts(slow), []string{"a", "b", "c"})

		ended := func(n int) func() bool {
			return func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.canceled == n }
		}
		wipe()
		l.hold(false)
		s.eventually("the lost task's reading ends", ended(1))
		s.supersede([]string{slow})
		s.eventually("the next begins", func() bool { begun, _ := l.read(); return begun == 2 })
		stop()
		want(t, "readings ended by who leaves", ended(2)(), true)

		close(l.gate)
		_, stop = s.playOn(l, clerk(stamp))
		defer stop()
		s.eventually("goes on", func() bool { return slices.Equal(s.facts(slow), []string{"a", "b", "c", "d"}) })
	})
}

// After a wipe a first fact can be a late copy, or another decision: it does not make what follows the true one void.
func TestFirstFactAfterAWipeIsNoStart(t *testing.T) {
	for name, first := range map[string]string{"late copy": "a", "superseded": "another"} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				_, stop := s.play(clerk(stamp))
				defer stop()
				tp := at(notes, "o1")
				for _, body := range []string{"a", "b"} {
					s.hand(notes, "o1", body)
				}
				s.eventually("commit", s.committed(tp))
				s.mini.FlushAll()
				s.eventually("folded", func() bool { return s.kept("o1") })
				now := s.seq[notes+"o1"]
				s.seq[notes+"o1"] = head{}
				s.hand(notes, "o1", first)
				s.seq[notes+"o1"] = now
				s.eventually("commit", s.committed(tp))
				s.hand(notes, "o1", "c")
				s.eventually("c", func() bool { return slices.Contains(s.facts("o1"), "c") })
			})
		})
	}
}

// loads counts the round trips that read orders.
type loads struct{ n atomic.Int64 }

func (l *loads) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (l *loads) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (l *loads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Name() == "hmget" }) {
			l.n.Add(1)
		}
		return next(ctx, cmds)
	}
}

// What somebody else appended to the own topic is read when a produce gets another offset: the orders of many records
// in one look-up.
func TestManyForeignFactsInTheOwnTopic(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ids, tp := manyOrders(many)
		_, stop := s.play(clerk(stamp))
		for _, id := range ids {
			s.hand(notes, id, "a")
		}
		s.eventually("commit", s.committed(tp))
		stop()
		p, stop := s.play(clerk(stamp))
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		own := at("clerk.events.v1", ids[0])
		for _, r := range s.log.Read(own) {
			e, err := event.FromRecord(r)
			if err != nil {
				t.Fatal(err)
			}
			e.ID = event.MakeID(e.ID, "superseded")
			s.log.Append(own, event.ToRecord(e, own.Topic, own.Partition))
		}
		l := &loads{}
		s.redis.AddHook(l)
		s.hand(notes, ids[0], "b")
		s.eventually("answered", func() bool { return len(s.facts(ids[0])) == 2 })
		s.eventually("commit", s.committed(tp))
		if n := l.n.Load(); n > 20 {
			t.Errorf("orders were looked up %d times", n)
		}
	})
}

// failingRead lets no chain be read back.
type failingRead struct {
	broker.Log
	log   broker.TopicPartition
	begun atomic.Int32
	fail  atomic.Bool
}

func (l *failingRead) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	if l.fail.Load() && len(from) == 1 && from[0].TopicPartition == l.log && from[0].MaxBytes == 1<<20 {
		l.begun.Add(1)
		return nil, fault.New(fault.Unavailable, "no answer")
	}
	return l.Log.Fetch(ctx, from)
}

// What cannot be read back is tried again more and more seldom.
func TestReadingBackIsTriedSeldom(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ids, tp := manyOrders(1)
		log := &failingRead{Log: s.log, log: tp}
		_, stop := s.playOn(log, clerk(stamp))
		s.hand(notes, ids[0], "a")
		s.hand(notes, ids[0], "b")
		s.eventually("committed", s.committed(tp))
		stop()
		s.mini.FlushAll()
		_, stop = s.playOn(log, clerk(stamp))
		defer stop()
		s.hand(notes, ids[0], "c")
		s.eventually("committed", s.committed(tp))
		log.fail.Store(true)
		s.supersede(ids)
		s.eventually("reads", func() bool { return log.begun.Load() > 0 })
		from := log.begun.Load()
		s.passes(10 * time.Minute)
		if n := log.begun.Load() - from; n > 60 {
			t.Errorf("%d readings from the log's start in ten minutes", n)
		}
	})
}

// A letter of a log that is gone says nothing about the chain in the log that took its place.
func TestLetterOfALogThatIsGone(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		_, stop := s.play(clerk(d.react))
		defer stop()
		s.hand(notes, "o1", "a")
		s.hand(notes, "o1", "poison")
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 })
		s.log.Recreate(notes)
		delete(s.seq, notes+"o1")
		s.passes(5 * time.Second) // it is noticed
		d.set("poison", nil)
		s.hand(notes, "o1", "x")
		s.hand(notes, "o1", "y")
		s.hand(notes, "o1", "z")
		s.eventually("read", s.committed(at(notes, "o1")))
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		got := s.facts("o1")
		if !slices.Contains(got, "x") || !slices.Contains(got, "z") {
			t.Errorf("facts: %v, want x, y and z among them", got)
		}
	})
}
