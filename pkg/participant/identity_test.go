package participant_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	clerkFacts   = "clerk.events.v1"
	clerkLetters = "clerk.dead-letters.v1"
	clerkAsks    = "clerk.redrive.v1"
)

// anew deletes topics and creates them anew; what is handed to them begins again.
func (s *stage) anew(topics ...string) {
	s.log.Recreate(topics...)
	for _, topic := range topics {
		for key := range s.seq {
			if strings.HasPrefix(key, topic) {
				delete(s.seq, key)
			}
		}
	}
}

// Topics are deleted and created anew while Redis is kept, and the group's offsets as well: what was kept of the logs
// that are gone counts for nothing, and the new ones are read from their start.
func TestTopicsAreMadeAnew(t *testing.T) {
	for what, c := range map[string]struct {
		topics []string
		old    string // facts of an order that had three before, and got two more notes since: that it had before, and another one
	}{
		"all":    {[]string{notes, mails, clerkFacts, clerkLetters, clerkAsks}, "a d"},
		"heard":  {[]string{notes}, "a b c d"},
		"own":    {[]string{clerkFacts}, "d"}, // the notes are committed as answered
		"others": {[]string{mails, clerkAsks}, "a b c d"},
	} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/running=%v", what, running), func(t *testing.T) {
				onStage(t, func(t *testing.T, s *stage) {
					p, stop := s.play(clerk(stamp))
					for _, body := range []string{"a", "b", "c"} {
						s.hand(notes, "o1", body)
					}
					s.eventually("answered and committed", func() bool {
						return len(s.facts("o1")) == 3 && s.outbox("o1") == 0 && s.log.Committed("clerk")[at(notes, "o1")] == 3
					})
					if !running {
						stop()
					}
					s.anew(c.topics...)
					if !running {
						p, stop = s.play(clerk(stamp))
					}
					defer stop()
					if what != "own" && what != "others" {
						s.hand(notes, "o1", "a")
					}
					s.hand(notes, "o1", "d")
					for n := range 5 { // more than the old logs held
						s.hand(notes, fmt.Sprint("n", n), "x")
					}
					for n := range 5 {
						id := fmt.Sprint("n", n)
						s.eventually("the answer to "+id, func() bool { return len(s.facts(id)) == 1 })
					}
					s.eventually("ready", func() bool { return p.Ready() == nil && s.outbox("o1") == 0 })
					s.eventually("kept", func() bool {
						_, o := s.order("o1")
						return o.Own().Sequence > 0 && s.redis.HGet(t.Context(), key("o1", "meta"), "log:"+notes).Val() != ""
					})
					want(t, "facts of the old order", s.stamps("o1"), c.old)
				})
			})
		}
	}
}

// stamps are an order's facts as they stand in the log: a chain may go on whose begin is gone.
func (s *stage) stamps(order string) string {
	var all []string
	for _, r := range s.log.Read(at(clerkFacts, order)) {
		if e, err := event.FromRecord(r); err == nil && e.Subject == order {
			m, err := event.Decode(e)
			if err != nil {
				s.t.Fatal(err)
			}
			all = append(all, string(m.Body.(*wrapperspb.BytesValue).Value))
		}
	}
	return strings.Join(all, " ")
}

// What the group committed of a log that is gone is written over, even where nothing is read of the new one yet:
// later, when the store is lost as well, it would pass for a position in that.
func TestCommittedOfALogThatIsGone(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		for _, body := range []string{"a", "b", "c"} {
			s.hand(notes, "o1", body)
		}
		committed := func(offset int64) func() bool {
			return func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == offset }
		}
		s.eventually("committed", committed(3))
		s.anew(notes, mails, clerkFacts, clerkLetters, clerkAsks)
		s.eventually("written over", committed(0))
		stop()
		s.redis.FlushAll(t.Context())
		for n := range 5 {
			s.hand(notes, "o1", fmt.Sprint(n))
		}
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.eventually("all are answered", func() bool { return len(s.facts("o1")) == 5 })
	})
}

// A topic that is deleted and not there again: the participant waits, says so, and goes on with the one that is made.
func TestTopicIsAway(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		p, stop := s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "a")
		s.eventually("answered", func() bool { return len(s.facts("o1")) == 1 && p.Ready() == nil })
		s.log.Delete(notes)
		s.eventually("said", func() bool { err := p.Ready(); return err != nil && strings.Contains(err.Error(), notes) })
		if err := s.log.Provision(t.Context(), []broker.Topic{{Name: notes, Partitions: partitions}}); err != nil {
			t.Fatal(err)
		}
		s.hand(notes, "o2", "b")
		s.eventually("answered", func() bool { return len(s.facts("o2")) == 1 && p.Ready() == nil })
	})
}

// A log that is shorter than what was read of it, whatever its topic's id says, is read from its start.
func TestLogIsShorter(t *testing.T) {
	for _, running := range []bool{true, false} {
		onStage(t, func(t *testing.T, s *stage) {
			_, stop := s.play(clerk(stamp))
			for _, body := range []string{"a", "b", "c"} {
				s.hand(notes, "o1", body)
			}
			s.eventually("committed", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] == 3 && s.outbox("o1") == 0 })
			if !running {
				stop()
			}
			s.log.Cut(at(notes, "o1"), 0)
			s.seq = map[string]head{}
			s.hand(notes, "o1", "d")
			if !running {
				_, stop = s.play(clerk(stamp))
			}
			defer stop()
			s.eventually("the answer", func() bool { return len(s.facts("o1")) == 4 })
		})
	}
}

// A door answers nothing from what was folded of a log that is gone, and takes a request of then as new.
func TestDoorOfTopicsMadeAnew(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		all := []string{notes, mails, clerkFacts, clerkLetters, clerkAsks}
		p, stop := s.play(doorman())
		s.eventually("ready", func() bool { return p.Ready() == nil })
		d := admission.New(doorman(), s.config())
		published := func(id string) bool {
			ok, err := place(t.Context(), d, id, "tea")
			if err != nil {
				t.Fatalf("place %s: %v", id, err)
			}
			return ok
		}
		want(t, "published", published("o1"), true)
		want(t, "published again", published("o1"), false)
		stop()
		s.anew(all...)
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's time: the door asks again
		_, _, err := d.Find(t.Context(), "o1", time.Second)
		want(t, "an order of then, nobody folds", fault.ClassOf(err), fault.Unavailable)
		_, err = place(t.Context(), d, "o1", "tea")
		want(t, "a request, nobody folds", fault.ClassOf(err), fault.Unavailable)
		p, stop = s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		_, found, err := d.Find(t.Context(), "o1", 3*time.Second)
		want(t, "an order of then", []any{found, err}, []any{false, nil})
		want(t, "published anew", published("o1"), true)
		s.anew(all...)
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's time: the door asks again, and the task
		want(t, "published while it runs", published("o1"), true)
		want(t, "records", s.copies("o1"), 1)
		f, found, err := d.Find(t.Context(), "o1", 3*time.Second)
		want(t, "found", []any{f.State.Stamped, f.Offset, found, err}, []any{[]string{"tea"}, 0, true, nil})
	})
}

// A topic that was grown is read as it is configured.
func TestTopicIsGrown(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		s.hand(notes, "o1", "a")
		s.eventually("answered", func() bool { return len(s.facts("o1")) == 1 })
		s.log.Grow(clerkFacts, 2*partitions)
		s.log.Grow(notes, 2*partitions)
		s.hand(notes, "o2", "b")
		s.eventually("answered while it runs", func() bool { return len(s.facts("o2")) == 1 })
		stop()
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "c")
		s.eventually("answered after a start", func() bool { return len(s.facts("o1")) == 2 })
	})
}

// Topics that were grown, and PARTITIONS with them: the facts are not where their orders are looked for now. It does
// not start, and touches nothing; as it was configured before it goes on.
func TestPartitionsAreRaised(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		for n := range 10 {
			s.hand(notes, fmt.Sprint("o", n), "a")
		}
		answered := func() bool {
			return len(s.log.ReadTopic(clerkFacts)) == 10 && s.outbox("o1") == 0 && s.outbox("o2") == 0
		}
		s.eventually("answered", answered)
		stop()
		for _, topic := range []string{notes, mails, clerkFacts, clerkLetters, clerkAsks, "clerk.activity.v1"} {
			s.log.Grow(topic, 2*partitions)
		}
		before := fmt.Sprint(s.orders("o1"), s.orders("o2"))
		cfg := s.config()
		cfg.Partitions = 2 * partitions
		err := participant.New(clerk(stamp), cfg).Run(t.Context())
		if fault.ClassOf(err) != fault.Permanent {
			t.Fatalf("Run: %v, want what is misplaced", err)
		}
		for _, word := range []string{".events.v1/", "@", "PARTITIONS", "grow-partitions.md"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q does not name %s", err, word)
			}
		}
		want(t, "kept", fmt.Sprint(s.orders("o1"), s.orders("o2")), before)
		p, stop := s.play(clerk(stamp))
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		s.hand(notes, "o1", "b")
		s.eventually("goes on", func() bool { return len(s.facts("o1")) == 2 })
		want(t, "answers", len(s.log.ReadTopic(clerkFacts)), 11)
	})
}

// A fact in another partition than its key belongs into is parked: its order is decided elsewhere.
func TestMisplacedFactIsParked(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		defer stop()
		s.eventually("begun", func() bool { return len(s.log.Topics()) > 3 })
		r := s.note(notes, "o1", "a")
		other := broker.TopicPartition{Topic: notes, Partition: 1 - at(notes, "o1").Partition}
		s.log.Append(other, r)
		s.eventually("parked", func() bool {
			return len(s.log.Read(broker.TopicPartition{Topic: clerkLetters, Partition: other.Partition})) == 1
		})
		want(t, "answers", len(s.log.ReadTopic(clerkFacts)), 0)
	})
}

// One in the own topic is passed over by the fold as well: one stray record stops nobody who runs.
func TestMisplacedFactOfTheOwnTopicIsPassed(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		p, stop := s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "a")
		s.eventually("answered", func() bool { return len(s.facts("o1")) == 1 && p.Ready() == nil })
		stray := s.log.Read(at(clerkFacts, "o1"))[0]
		other := broker.TopicPartition{Topic: clerkFacts, Partition: 1 - at(clerkFacts, "o1").Partition}
		stray.Partition = other.Partition
		s.log.Append(other, stray)
		s.mini.FlushAll()
		s.hand(notes, "o1", "b")
		s.eventually("folded anew", func() bool { return len(s.facts("o1")) == 2 && p.Ready() == nil })
		for n := range 5 {
			s.hand(notes, fmt.Sprint("n", n), "x")
			s.eventually("the others", func() bool { return len(s.facts(fmt.Sprint("n", n))) == 1 })
		}
	})
}

// The markers of a door go with the log that they are of, those of other partitions stay.
func TestMarkersOfAPartitionThatIsReplaced(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		p, stop := s.play(doorman())
		s.eventually("ready", func() bool { return p.Ready() == nil })
		stop()
		ctx := t.Context()
		for part := range partitions {
			s.redis.Set(ctx, fmt.Sprintf("{clerk:%d}:marker:o1", part), "x", 0)
		}
		s.redis.HSet(ctx, "{clerk:0}:meta", "log:"+clerkFacts, "another")
		s.redis.HSet(ctx, "{clerk:1}:meta", "fold_version", "another")
		p, stop = s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		want(t, "markers", s.redis.Keys(ctx, "*marker*").Val(), []string{"{clerk:1}:marker:o1"})
	})
}

// deaf is a log that does not always say which topics are which.
type deaf struct {
	broker.Log
	now atomic.Bool
}

func (d *deaf) Identities(ctx context.Context, topics []string) (map[string]string, error) {
	if d.now.Load() {
		return nil, errors.New("no answer")
	}
	return d.Log.Identities(ctx, topics)
}

// A broker that is silent for a while says nothing about its logs: what was known of them holds.
func TestIdentityIsNotToldForAWhile(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		p, stop := s.play(doorman())
		defer stop()
		s.eventually("ready", func() bool { return p.Ready() == nil })
		told := &deaf{Log: s.log}
		d := admission.New(doorman(), participant.Config{Log: told, Redis: s.redis, Partitions: partitions})
		if _, err := place(t.Context(), d, "o1", "tea"); err != nil {
			t.Fatal(err)
		}
		told.now.Store(true)
		time.Sleep(2 * time.Second) //nolint:forbidigo // the bubble's time: it asks again
		_, found, err := d.Find(t.Context(), "o1", time.Second)
		want(t, "told before", []any{found, err}, []any{true, nil})
		silent := admission.New(doorman(), participant.Config{Log: told, Redis: s.redis, Partitions: partitions})
		_, _, err = silent.Find(t.Context(), "o1", time.Second)
		want(t, "never told", fault.ClassOf(err), fault.Unavailable)
	})
}
