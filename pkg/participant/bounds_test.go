package participant_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"google.golang.org/protobuf/proto"
)

// What is read can be larger than what may be written. It stops nobody, and nothing of it is lost.

const letters = "clerk.dead-letters.v1"

// large is the text of a note of 3 MB, which nobody can write into a letter.
var large = strings.Repeat("x", 3<<20)

// brief is a doctor who says little of what is large.
func (d *doctor) brief(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
	if text(m) == large {
		if err := d.bad["large"]; err != nil {
			return nil, err
		}
		m.Body = nil
	}
	return d.react(ctx, l, m)
}

// playsLarge parks a large note of o1 with another one behind it, and one of the same partition's other orders passes.
func playsLarge(t *testing.T, f func(t *testing.T, s *stage, d *doctor)) {
	t.Helper()
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.bad["large"] = errPoison
		_, stop := s.play(clerk(d.brief))
		defer stop()
		s.hand(notes, "o1", large)
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 })
		s.hand(notes, "o1", "b")
		s.eventually("parked behind", func() bool { return len(s.letters("o1")) == 2 })
		s.eventually("committed", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 2 })
		f(t, s, d)
	})
}

func TestALargeRecordIsParkedByReference(t *testing.T) {
	playsLarge(t, func(t *testing.T, s *stage, d *doctor) {
		r := s.log.Read(at(letters, "o1"))[0]
		n, err := deadletter.Parse(r)
		if err != nil || n.Order != "o1" || n.ID != s.idOf("o1", large) || n.Topic != notes || n.Offset != 0 || len(r.Value) > 0 ||
			!strings.HasPrefix(n.Reference, "sha256:") || n.Class != "permanent" {
			t.Errorf("%+v, %v", n, err)
		}
		for field, body := range s.redis.HGetAll(t.Context(), key("o1", "parked:o1")).Val() {
			if len(body) > 10<<10 {
				t.Errorf("redis keeps %d bytes of letter %s", len(body), field)
			}
		}
		s.mini.FlushAll()
		s.eventually("folded", func() bool { return s.mini.Exists(key("o1", "parked:o1")) })
		d.set("large", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "facts", s.facts("o1"), []string{"", "b"})
	})
}

// A letter whose event is gone from its topic says so; another payload still brings it back.
func TestALetterWhoseEventIsGone(t *testing.T) {
	playsLarge(t, func(t *testing.T, s *stage, d *doctor) {
		s.log.Trim(at(notes, "o1"), 1)
		d.set("large", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		told := s.log.Read(at(letters, "o1"))
		n, err := deadletter.Parse(told[len(told)-1])
		if err != nil || n.Waiting != 2 || n.Class != "permanent" || !strings.Contains(n.Message, "does not hold desk.events.v1/") {
			t.Errorf("%+v, %v", n, err)
		}
		s.ask(2, deadletter.Edit, "o1", deadletterHead(t, s))
		s.closes("o1", 2)
		want(t, "facts", s.facts("o1"), []string{"edited", "b"})
	})
}

// deadletterHead is the id of the first letter.
func deadletterHead(t *testing.T, s *stage) string {
	t.Helper()
	n, err := deadletter.Parse(s.log.Read(at(letters, "o1"))[0])
	if err != nil {
		t.Fatal(err)
	}
	return n.ID
}

// absent is a log of which nobody reads the notes again while it is away.
type absent struct {
	*brokertest.Memory
	away  atomic.Bool
	asked atomic.Int32
}

func (a *absent) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	if a.away.Load() && len(from) == 1 && from[0].Topic == notes {
		a.asked.Add(1)
		return nil, fault.New(fault.Unavailable, "no answer")
	}
	return a.Memory.Fetch(ctx, from)
}

// While the topic of a letter's event cannot be read, its redrive waits; that is no failure of the letter.
func TestALetterWaitsForItsTopic(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.bad["large"] = errPoison
		log := &absent{Memory: s.log}
		_, stop := s.playOn(log, clerk(d.brief))
		defer stop()
		s.hand(notes, "o1", large)
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 })
		d.set("large", nil)
		log.away.Store(true)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.eventually("tried", func() bool { return log.asked.Load() > 1 })
		want(t, "told", len(s.told("o1")), 1)
		log.away.Store(false)
		s.closes("o1", 1)
		want(t, "facts", s.facts("o1"), []string{""})
	})
}

// A batch that cannot be read is parked by its offset, alone: its order is not known. Others pass; only a discard
// takes it away.
func TestAnUnreadableBatchIsParkedByItsOffset(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		p, stop := s.play(clerk(stamp))
		defer stop()
		tp := at(notes, "o1")
		s.log.Append(tp, broker.Record{Unreadable: fault.New(fault.Permanent, "it takes more than 16 MiB")})
		s.hand(notes, "o1", "a")
		s.eventually("passed", func() bool { return s.log.Committed("clerk")[tp] == 2 })
		want(t, "facts", s.facts("o1"), []string{"a"})
		r := s.log.Read(broker.TopicPartition{Topic: letters, Partition: tp.Partition})[0]
		n, err := deadletter.Parse(r)
		if err != nil || n.ID != fmt.Sprintf("%s/%d@0", tp.Topic, tp.Partition) || n.Order != deadletter.Keyless+n.ID || n.Reference != deadletter.Unread ||
			n.Message != "it takes more than 16 MiB" || n.Offset != 0 {
			t.Errorf("%+v, %v", n, err)
		}
		for i, action := range []deadletter.Action{deadletter.Redrive, deadletter.Discard} {
			q := deadletter.Request{ID: string(action), Action: action, Order: n.Order, Letter: n.ID, Partition: tp.Partition, At: time.Now()}
			asked := broker.TopicPartition{Topic: asks, Partition: tp.Partition}
			s.log.Append(asked, q.Record("clerk"))
			s.eventually("closed", func() bool { return s.log.Committed("clerk")[asked] == int64(i+1) })
		}
		want(t, "told", s.told(n.Order), []string{"letter", "failed *1", "closed 0/1 permanent", "discarded", "closed 0/0"})
		if err := p.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// A key too long to be an order's names none: no key of redis becomes as long as anybody likes.
func TestALongKeyNamesNoOrder(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		long := strings.Repeat("k", 2<<10)
		tp := at(notes, "o1")
		r := s.note(notes, long, "a")
		r.Partition = tp.Partition
		s.log.Append(tp, r)
		s.hand(notes, "o1", "b")
		s.eventually("passed", func() bool { return s.log.Committed("clerk")[tp] == 2 })
		want(t, "facts", s.facts("o1"), []string{"b"})
		n, err := deadletter.Parse(s.log.Read(at(letters, "o1"))[0])
		if err != nil || !strings.HasPrefix(n.Order, deadletter.Keyless) || n.Reference == "" || !strings.Contains(n.Message, "at most 1024 bytes") {
			t.Errorf("%+v, %v", n, err)
		}
		for _, k := range s.redis.Keys(t.Context(), "*").Val() {
			if len(k) > 1<<10 {
				t.Errorf("a key of redis has %d bytes", len(k))
			}
		}
	})
}

// A letters' topic that takes less than it should gets letters by reference, and the order of the entries stays.
func TestALetterTooLargeForItsTopicLeavesByReference(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		p, stop := s.play(clerk(d.react))
		defer stop()
		s.eventually("topics", func() bool { _, ok := s.log.Topics()[letters]; return ok })
		s.log.SetMaxBytes(letters, 10<<10)
		body := strings.Repeat("y", 20<<10)
		d.set(body, errPoison)
		s.hand(notes, "o1", body)
		s.hand(notes, "o1", "b")
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 2 })
		n, err := deadletter.Parse(s.log.Read(at(letters, "o1"))[0])
		if err != nil || n.Reference == "" || p.Ready() != nil {
			t.Errorf("%+v, %v, %v", n, err, p.Ready())
		}
		d.set(body, nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "facts", s.facts("o1"), []string{body, "b"})
	})
}

// What Kafka refuses for good keeps its partition waiting, aloud, with what comes behind it; what is before it in the
// batch leaves. When it is mended, everything goes on.
func TestARefusalIsSaidAndWaitedOut(t *testing.T) {
	facts := "clerk.events.v1"
	for name, c := range map[string]struct {
		refuse, mend func(*stage)
		left         []string
	}{
		"a fact is too large": {
			func(s *stage) { s.log.SetMaxBytes(facts, 10<<10) },
			func(s *stage) { s.log.SetMaxBytes(facts, 0) },
			[]string{"a"},
		},
		"the topic may not be written": {
			func(s *stage) {
				s.log.OnProduce(func(b broker.Batch) (fate brokertest.Fate) {
					if b.Topic == facts {
						fate = brokertest.Fate{Drop: true, Answer: fault.New(fault.Permanent, "not authorized")}
					}
					return fate
				})
			},
			func(s *stage) { s.log.OnProduce(nil) },
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				body := strings.Repeat("y", 20<<10)
				for _, text := range []string{"a", body, "b"} {
					s.hand(notes, "o1", text)
				}
				for n := range 20 {
					s.hand(notes, "o2", string(rune('a'+n)))
				}
				if err := s.log.Provision(t.Context(), participant.New(clerk(stamp), s.config()).Topics()); err != nil {
					t.Fatal(err)
				}
				c.refuse(s)
				p, stop := s.play(clerk(stamp))
				defer stop()
				s.eventually("not ready", func() bool {
					err := p.Ready()
					return err != nil && strings.Contains(err.Error(), facts+" does not take what is published")
				})
				want(t, "facts while it refuses", s.facts("o1"), c.left)
				c.mend(s)
				s.eventually("all facts", func() bool { return len(s.facts("o1")) == 3 && len(s.facts("o2")) == 20 })
				s.eventually("ready", func() bool { return p.Ready() == nil })
				want(t, "facts", s.facts("o1"), []string{"a", body, "b"})
				want(t, "copies", s.copies("o1")+s.copies("o2"), 23)
			})
		})
	}
}

// One request that Kafka refuses does not fail those it shares a produce with; the door says that it is not ready, and
// is when it is taken.
func TestADoorSaysWhatIsRefused(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		p, stop := s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		facts := participant.FactsTopic("clerk")
		s.log.SetMaxBytes(facts, 10<<10)
		door, release := admission.New(doorman(), s.config()), make(chan struct{})
		s.log.OnProduce(func(broker.Batch) brokertest.Fate { return brokertest.Fate{Hold: release} })
		order := func(i int) string { return fmt.Sprintf("o%d", i) }
		results := make([]error, 20)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				body := "tea"
				if i == 7 {
					body = strings.Repeat("y", 20<<10)
				}
				_, _, results[i] = door.Publish(t.Context(), first(order(i), body))
			})
		}
		synctest.Wait() // the first is on its way, the others wait for it
		close(release)
		wg.Wait()
		for i, err := range results {
			if (err != nil) != (i == 7) || i == 7 && fault.ClassOf(err) != fault.Unavailable {
				t.Errorf("%d: %v", i, err)
			}
		}
		s.log.SetMaxBytes(facts, 1)
		if _, _, err := door.Publish(t.Context(), first("o30", "tea")); err == nil {
			t.Error("it was taken")
		}
		if err := door.Ready(); err == nil || !strings.Contains(err.Error(), facts+" does not take what comes in") {
			t.Errorf("ready: %v", err)
		}
		s.log.SetMaxBytes(facts, 0)
		if _, _, err := door.Publish(t.Context(), first("o30", "tea")); err != nil || door.Ready() != nil {
			t.Errorf("%v, ready: %v", err, door.Ready())
		}
	})
}

// A topic that holds a letter's event and cannot be read ends its redrive after a while: an operator can discard the
// letter.
func TestDiscardOfALetterWhoseTopicIsAway(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.bad["large"] = errPoison
		log := &absent{Memory: s.log}
		_, stop := s.playOn(log, clerk(d.brief))
		defer stop()
		s.hand(notes, "o1", large)
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 })
		id := s.idOf("o1", large)
		log.away.Store(true)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.eventually("tried", func() bool { return log.asked.Load() > 1 })
		s.ask(2, deadletter.Discard, "o1", id)
		s.passes(5 * time.Minute)
		s.closes("o1", 2)
		want(t, "told", s.since("o1", 1), []string{"failed " + large + "*1", "closed 0/1 unavailable", "discarded " + large, "closed 0/0"})
	})
}

// slowRead blocks what reads one event back.
type slowRead struct {
	*brokertest.Memory
	away atomic.Bool
}

func (a *slowRead) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	if a.away.Load() && len(from) == 1 && from[0].MaxBytes == 1 {
		<-ctx.Done()
		return nil, fault.As(fault.Unavailable, ctx.Err())
	}
	return a.Memory.Fetch(ctx, from)
}

// While the event of a letter is read from its topic, nobody else waits.
func TestOthersGoOnWhileALettersEventIsRead(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.bad["large"] = errPoison
		log := &slowRead{Memory: s.log}
		_, stop := s.playOn(log, clerk(d.brief))
		defer stop()
		s.hand(notes, "o1", large)
		s.eventually("parked", func() bool { return len(s.letters("o1")) == 1 })
		log.away.Store(true)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.passes(time.Second)
		var worst time.Duration
		for n := range 20 {
			order := fmt.Sprint("good-", n)
			began := time.Now()
			s.hand(notes, order, "a")
			s.eventually("answered", func() bool { return len(s.facts(order)) == 1 })
			worst = max(worst, time.Since(began))
		}
		if worst > 500*time.Millisecond {
			t.Errorf("an order of nobody's concern waited %v", worst)
		}
	})
}
