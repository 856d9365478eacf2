package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestWipeIsNoticedAndFoldedAgain(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	var orders []string
	for i := range 30 {
		orders = append(orders, fmt.Sprint("order-", i))
		s.say(talk, orders[i], "one")
	}
	p, _ := s.play(b)
	s.shows(b, orders...)
	r := NewReader(b, s.redis)
	if err := s.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	// Whatever the moment: an order that is not found is never said not to exist.
	eventually(t, func() string {
		missing := 0
		for _, id := range orders {
			f, state, err := r.Get(t.Context(), logOf(talk, id).Partition, id)
			if err != nil {
				t.Fatal(err)
			}
			if f.Version == 0 {
				missing++
				if !state.Incomplete {
					t.Fatalf("order %s is not there, and the state says that this is all there is", id)
				}
			}
		}
		if missing > 0 {
			return fmt.Sprint(missing, " orders are missing")
		}
		return ""
	})
	s.shows(b, orders...)
	if n := s.words(); n != 30 {
		t.Errorf("%d words counted, not 30", n)
	}
	eventually(t, func() string { // the engine reports after the step
		if err := p.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
}

func TestOtherFoldVersionStartsOver(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two")
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	next := chronicle()
	next.FoldVersion = 2
	fold := next.Fold
	next.Fold = func(doc script, m event.Message, at At) script {
		doc = fold(doc, m, at)
		doc.Talk[len(doc.Talk)-1] += "!"
		return doc
	}
	_, state, err := NewReader(next, s.redis).Get(t.Context(), logOf(talk, "o").Partition, "o")
	if err != nil || !state.Incomplete {
		t.Fatalf("what other code folded counts as whole: %v", err)
	}
	_, _ = s.play(next)
	s.shows(next, "o")
}

// A document that was forgotten while its log lives on is adopted in the middle; the first contradiction sends the
// projection back to the start of the log.
func TestContradictedHeadIsReadFromTheStart(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two")
	s.say(song, "o", "la")
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	r := NewReader(b, s.redis)
	tp := logOf(talk, "o")
	s.forget(tp.Partition, "o")
	s.say(talk, "o", "three")
	_, _ = s.play(b)
	eventually(t, func() string {
		f, _, err := r.Get(t.Context(), tp.Partition, "o")
		if err != nil || strings.Join(f.Doc.Talk, " ") != "three" {
			return fmt.Sprint("not adopted: ", f.Doc, err)
		}
		return ""
	})
	s.put(record2(t, event.Event{
		ID: "void", Sequence: 2, PreviousID: "nobody", Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "zombie",
		Subject: "o", Time: time.Now(),
	}, talk, "never"))
	s.shows(b, "o")
}

func TestRetentionIsPassedOver(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two", "three")
	tp := logOf(talk, "o")
	s.log.Trim(tp, 2)
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	s.say(talk, "o", "four", "five", "six")
	s.log.Trim(tp, 6)
	_, _ = s.play(b)
	eventually(t, func() string {
		_, state, err := NewReader(b, s.redis).Get(t.Context(), tp.Partition, "o")
		if err != nil || state.Incomplete || !state.Passed(talk, 5) || state.Passed(talk, 6) {
			return fmt.Sprint(state, err)
		}
		return ""
	})
}

func TestAnotherLogIsFoldedFromItsStart(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two", "three")
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	fresh := &stage{t: t, log: brokertest.New(), redis: s.redis, heads: map[string]section{}}
	fresh.provision()
	fresh.say(talk, "o", "other")
	if err := s.redis.HSet(t.Context(), NewReader(b, s.redis).store.Key(logOf(talk, "o").Partition, keyMeta), task.PrefixInput+talk, 3).Err(); err != nil {
		t.Fatal(err)
	}
	_, _ = fresh.play(b)
	fresh.shows(b, "o")
}

// A paused owner that comes back finds that another one claimed its partition: nothing of it is written.
func TestFencedOwnerAsksItsGroup(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one")
	p, _ := s.play(b)
	s.shows(b, "o")
	tp := logOf(talk, "o")
	if _, err := p.base.Claim(t.Context(), tp.Partition, "somebody else"); err != nil {
		t.Fatal(err)
	}
	s.say(talk, "o", "two")
	s.shows(b, "o") // its generation still holds, so it claims again
	if n := s.words(); n != 2 {
		t.Errorf("%d words counted, not 2", n)
	}
}

// A zombie: its session timed out and nobody told it. It learns it when it is fenced, or commits, and joins again.
func TestExpiredOwnerLeavesItsGeneration(t *testing.T) {
	for how, every := range map[string]time.Duration{"fenced": time.Hour, "commits": time.Millisecond} {
		t.Run(how, func(t *testing.T) {
			s := newStage(t)
			b := chronicle()
			p := New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions, CommitEvery: every})
			s.run(p)
			s.say(talk, "o", "one")
			s.shows(b, "o")
			s.log.Expire(b.Name, "member-1")
			if how == "fenced" {
				if _, err := p.base.Claim(t.Context(), logOf(talk, "o").Partition, "somebody else"); err != nil {
					t.Fatal(err)
				}
			}
			s.say(talk, "o", "two")
			eventually(t, func() string {
				if len(s.log.Assignments(b.Name)["member-1"]) == 0 {
					return "it has not joined again"
				}
				return ""
			})
			s.shows(b, "o")
			if n := s.words(); n != 2 {
				t.Errorf("%d words counted, not 2", n)
			}
		})
	}
}

func TestOutagesAreWaitedOut(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	p, _ := s.play(b)
	s.say(talk, "o", "one")
	s.shows(b, "o")
	s.log.Down(fault.New(fault.Unavailable, "the broker is away"))
	eventually(t, func() string {
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "the broker is away") {
			return fmt.Sprint("ready says ", err)
		}
		return ""
	})
	s.log.Down(nil)
	s.say(talk, "o", "two")
	s.shows(b, "o")
	eventually(t, func() string {
		if err := p.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
}

// loseAnswers lets the commands of a client take effect and loses their answers, while on.
func loseAnswers(c redis.UniversalClient) (on *atomic.Bool) {
	on = &atomic.Bool{}
	on.Store(true)
	c.AddHook(pipelines(func(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error {
		err := next(ctx, cmds)
		// Changes and comparisons of several partitions share a pipeline.
		if on.Load() && slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Name() == "evalsha" }) {
			err = fail(cmds, errors.New("connection reset by peer"))
		}
		return err
	}))
	return on
}

// A change whose answer is lost is sent again, and found done: the task need not start anew.
func TestLostAnswersOfTheStoreAreAskedForAgain(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	p, _ := s.play(b)
	s.say(talk, "o", "one")
	s.shows(b, "o")
	owner := func() string {
		return s.redis.HGet(t.Context(), NewReader(b, s.redis).store.Key(logOf(talk, "o").Partition, keyMeta), "owner").Val()
	}
	before := owner()
	lost := loseAnswers(s.redis)
	s.say(talk, "o", "two")
	s.shows(b, "o")
	eventually(t, func() string {
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "connection reset") {
			return fmt.Sprint("ready says ", err)
		}
		return ""
	})
	lost.Store(false)
	s.say(talk, "o", "three")
	s.shows(b, "o")
	if after := owner(); after != before {
		t.Error("the task was taken over again")
	}
	if n := s.words(); n != 3 {
		t.Errorf("%d words counted, not 3", n)
	}
}

// What arrives while a change waits for the store is not of it, although its time is before that of what is.
func TestWhatArrivesDuringAChangeIsFoldedAfterIt(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	log := newGate(s.log)
	log.shut(1, 2) // whoever has read what arrives
	log.logs = []string{song}
	_ = s.playOn(log)
	s.say(talk, "o", "one")
	s.shows(b, "o")
	lost := loseAnswers(s.redis)
	newer, older := s.fact(talk, "o", "two"), s.fact(song, "o", "la")
	newer.Time = time.Now()
	older.Time = newer.Time.Add(-time.Second)
	s.put(newer)
	s.shows(b, "o") // the store took it, and the projection does not know
	s.put(older)
	log.reached(t)
	lost.Store(false)
	log.lift()
	s.shows(b, "o")
}
