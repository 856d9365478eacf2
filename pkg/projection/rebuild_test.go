package projection

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

func TestRebuildBesideReadsAndEvents(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(60)
	_, _ = s.play(b)
	_, _ = s.play(b)
	s.shows(b, ids...)
	stop := s.watchReads(b, ids)
	for round := range 3 {
		s.ask(b)
		for i := range 40 { // events go on
			s.say(talk, ids[i], fmt.Sprint("round", round))
			s.say(song, ids[i], fmt.Sprint("song", round))
		}
		s.rebuilt(b, rebuild.Swapped)
	}
	s.shows(b, ids...)
	stop()
	if n := s.words(); n != 60*5+3*80 {
		t.Errorf("%d words counted, not %d", n, 60*5+3*80)
	}
}

// Whatever is wrong in the live copy, the rebuilt one is what the log says.
func TestRebuildHealsWhatIsWrong(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(30)
	_, _ = s.play(b)
	s.shows(b, ids...)
	right := s.content(b)
	key := func(id, rest string) string { return NewReader(b, s.redis).store.Key(logOf(talk, id).Partition, rest) }
	doc := s.redis.Get(t.Context(), key("order-0", keyOrder+"order-0")).Val()
	s.redis.Set(t.Context(), key("order-0", keyOrder+"order-0"), strings.Replace(doc, "two", "lie", 1), 0)
	s.redis.Set(t.Context(), key("order-0", keyOrder+"ghost"), doc, 0)
	s.redis.HIncrBy(t.Context(), key("order-0", "counts"), "words", 7)
	s.redis.ZAdd(t.Context(), key("order-0", "all"), redis.Z{Score: float64(time.Now().UnixMilli()), Member: "ghost"})
	if err := s.redis.Del(t.Context(), key("order-1", keyOrder+"order-1")).Err(); err != nil {
		t.Fatal(err)
	}
	if cmp.Equal(right, s.content(b)) {
		t.Fatal("nothing is wrong")
	}
	s.ask(b)
	s.rebuilt(b, rebuild.Swapped)
	if d := cmp.Diff(right, s.content(b)); d != "" {
		t.Error(d)
	}
	s.shows(b, ids...)
}

func TestRebuildsAreRefusedAndCancelled(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	door := s.door(b)
	if _, err := door.Cancel(t.Context()); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("nothing to cancel: %v", err)
	}
	ids := s.orders(20)
	g := newGate(s.log)
	p := New(b, Config{Log: g, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.lookEvery = time.Millisecond
	s.run(p)
	s.shows(b, ids...)
	g.shut(0, 1)
	s.ask(b)
	if _, err := door.Start(t.Context()); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("a second one beside the first: %v", err)
	}
	eventually(t, func() string {
		for _, r := range must(door.State(t.Context())) {
			if r.State != rebuild.Folding || r.Folded != 0 || r.Of == 0 {
				return fmt.Sprintf("%+v", r)
			}
		}
		return ""
	})
	if _, err := door.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.rebuilt(b, rebuild.Cancelled)
	g.lift()
	s.ask(b)
	s.rebuilt(b, rebuild.Swapped)
	s.shows(b, ids...)
}

func TestWipeEndsARebuild(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(20)
	g := newGate(s.log)
	p := New(b, Config{Log: g, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.lookEvery = time.Millisecond
	s.run(p)
	s.shows(b, ids...)
	g.shut(0, 1)
	s.ask(b)
	s.begun(b)
	if err := s.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	g.lift()
	s.shows(b, ids...)
	s.rebuilt(b, "")
	for _, r := range s.rebuilds(b) {
		if r.State != "" || r.ID != "" {
			t.Errorf("after a wipe: %+v", r)
		}
	}
	s.ask(b)
	s.rebuilt(b, rebuild.Swapped)
}

// What the log does not hold any more is not in what is rebuilt.
func TestRebuildIsWhatTheLogStillHolds(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "old", "one", "two")
	ids := append(s.orders(10), "old")
	_, _ = s.play(b)
	s.shows(b, ids...)
	s.log.Trim(logOf(talk, "old"), 1)
	s.ask(b)
	s.rebuilt(b, rebuild.Swapped)
	s.shows(b, ids...)
	if n := s.words(); n != 10*5+1 {
		t.Errorf("%d words counted, not %d", n, 10*5+1)
	}
}

// A rebuild that was given up leaves nothing, and the next one begins at the log's start.
func TestNextRebuildBeginsAtTheStart(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	for i := range 60 { // more than one fetch
		s.say(talk, "o", fmt.Sprint(i, strings.Repeat("x", 10_000)))
	}
	g := newGate(s.log)
	p := New(b, Config{Log: g, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.lookEvery = time.Millisecond
	s.run(p)
	s.shows(b, "o")
	g.shut(1, 60)
	s.ask(b)
	g.reached(t)
	part := logOf(talk, "o").Partition
	must(s.door(b).Cancel(t.Context()))
	eventually(t, func() string {
		if r := s.rebuilds(b)[part]; r.State != rebuild.Cancelled || r.Clearing {
			return fmt.Sprintf("%+v", r)
		}
		return ""
	})
	s.oneCopy(b)
	s.ask(b)
	g.lift()
	s.rebuilt(b, rebuild.Swapped)
	s.shows(b, "o")
}

// What is live waits for its shadow, but not for ever.
func TestLiveCopyWaitsShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := newTestPartition(talk)
		task.pending = make([]item, 1)
		folds := func(want bool, when string) {
			t.Helper()
			if got := task.ready(time.Now()); got != want {
				t.Errorf("%s: folds %v", when, got)
			}
		}
		folds(true, "no shadow")
		task.hold(time.Now())
		folds(false, "close")
		time.Sleep(holdFor) //nolint:forbidigo // no time passes
		task.hold(time.Now())
		folds(true, "close for long")
		time.Sleep(holdAgain) //nolint:forbidigo // no time passes
		task.hold(time.Now())
		folds(false, "close again")
	})
}

// A pointer that is lost alone is noticed: nobody is told that an order does not exist, and all is folded again.
func TestLostPointer(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(20)
	_, _ = s.play(b)
	s.shows(b, ids...)
	s.ask(b)
	s.rebuilt(b, rebuild.Swapped)
	r := NewReader(b, s.redis)
	for p := range partitions {
		if n := s.redis.Del(t.Context(), r.store.Key(p, rebuild.Key)).Val(); n != 1 {
			t.Fatalf("partition %d had no pointer", p)
		}
	}
	for range 100 {
		for _, id := range ids {
			if f, state, err := r.Get(t.Context(), logOf(talk, id).Partition, id); err == nil && f.Version == 0 && !state.Incomplete {
				t.Fatalf("order %s is said not to exist", id)
			}
		}
	}
	s.shows(b, ids...)
	s.oneCopy(b)
}
