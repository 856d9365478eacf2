package projection

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
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
		s.ask(b, false)
		for i := range 40 { // events go on
			s.say(talk, ids[i], fmt.Sprint("round", round))
			s.say(song, ids[i], fmt.Sprint("song", round))
		}
		equal(t, s.rebuilt(b, Swapped))
	}
	s.shows(b, ids...)
	stop()
	if n := s.words(); n != 60*5+3*80 {
		t.Errorf("%d words counted, not %d", n, 60*5+3*80)
	}
}

// The control of the comparison: it must be able to find something.
func TestRebuildFindsAndHealsWhatIsWrong(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			s := newStage(t)
			b := chronicle()
			ids := s.orders(30)
			_, _ = s.play(b)
			s.shows(b, ids...)
			key := func(id, rest string) string { return NewReader(b, s.redis).store.Key(logOf(talk, id).Partition, rest) }
			p, q := logOf(talk, "order-0").Partition, logOf(talk, "order-1").Partition
			doc := s.redis.Get(t.Context(), key("order-0", keyOrder+"order-0")).Val()
			s.redis.Set(t.Context(), key("order-0", keyOrder+"order-0"), strings.Replace(doc, "two", "lie", 1), 0)
			s.redis.Set(t.Context(), key("order-0", keyOrder+"ghost"), doc, 0)
			s.redis.HIncrBy(t.Context(), key("order-0", "counts"), "words", 7)
			for _, id := range ids {
				s.redis.HSet(t.Context(), key(id, "counts"), "nothing", "0") // a counter of 0 is none
			}
			s.redis.ZAdd(t.Context(), key("order-0", "all"), redis.Z{Score: float64(time.Now().UnixMilli()), Member: "ghost"})
			if err := s.redis.Del(t.Context(), key("order-1", keyOrder+"order-1")).Err(); err != nil {
				t.Fatal(err)
			}
			s.ask(b, keep)
			state, want := Swapped, []string{"all", "counts", "ghost", "order-0"}
			if keep {
				eventually(t, func() string { // the others are swapped all the same
					for p := range partitions {
						if r := s.rebuildOf(b, p); r.State.Active() || r.Clearing || (r.State == Kept) != (r.Differing > 0) {
							return fmt.Sprintf("%+v", r)
						}
					}
					return ""
				})
				s.oneSpace(b)
			} else {
				s.rebuilt(b, state)
			}
			r := s.rebuildOf(b, p)
			slices.Sort(r.Differs)
			if p == q {
				want = append(want, "order-1")
			}
			for other := range partitions {
				switch r := s.rebuildOf(b, other); {
				case other == q && other != p && (r.Differing != 1 || !slices.Equal(r.Differs, []string{"order-1"})):
					t.Errorf("a document that is missing: %+v", r)
				case other != q && other != p && r.Differing != 0:
					t.Errorf("found something where nothing is: %+v", r)
				}
			}
			if !slices.Equal(r.Differs, want) || r.Differing != len(want) || r.LiveHash == r.RebuiltHash {
				t.Errorf("found %+v, not %v", r, want)
			}
			f, _, err := NewReader(b, s.redis).Get(t.Context(), p, "order-0")
			if err != nil || slices.Contains(f.Doc.Talk, "lie") != keep {
				t.Errorf("afterwards: %v %v", f.Doc, err)
			}
			if !keep {
				s.shows(b, ids...)
				if n := s.words(); n != 30*5 {
					t.Errorf("%d words counted, not %d", n, 30*5)
				}
			}
		})
	}
}

func TestRebuildsAreRefusedAndCancelled(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	door := NewRebuilds(b, s.redis, partitions)
	if _, err := door.Start(t.Context(), false); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("a rebuild beside nothing: %v", err)
	}
	if _, err := door.Cancel(t.Context()); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("nothing to cancel: %v", err)
	}
	ids := s.orders(20)
	g := newGate(s.log)
	p := New(b, Config{Log: g, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.hearEvery = time.Millisecond
	s.run(p)
	s.shows(b, ids...)
	g.shut(0, 1)
	s.ask(b, false)
	if _, err := door.Start(t.Context(), false); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("a second one beside the first: %v", err)
	}
	eventually(t, func() string {
		for _, r := range must(door.State(t.Context())) {
			if r.State != Folding || r.Folded != 0 || r.Of == 0 {
				return fmt.Sprintf("%+v", r)
			}
		}
		return ""
	})
	if _, err := door.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.rebuilt(b, Cancelled)
	g.lift()
	s.ask(b, false)
	equal(t, s.rebuilt(b, Swapped))
	s.shows(b, ids...)
}

func TestWipeEndsARebuild(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(20)
	g := newGate(s.log)
	p := New(b, Config{Log: g, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.hearEvery = time.Millisecond
	s.run(p)
	s.shows(b, ids...)
	g.shut(0, 1)
	s.ask(b, false)
	eventually(t, func() string {
		for p, name := range s.spaces(b, fieldBeside) {
			if name == "" {
				return fmt.Sprint("no space beside that of partition ", p)
			}
		}
		return ""
	})
	if err := s.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	g.lift()
	s.shows(b, ids...)
	for _, r := range must(NewRebuilds(b, s.redis, partitions).State(t.Context())) {
		if r.State != "" || r.ID != "" {
			t.Errorf("after a wipe: %+v", r)
		}
	}
	s.ask(b, false)
	equal(t, s.rebuilt(b, Swapped))
}

// What is older than the retention need not be in the log any more: that is no difference.
func TestRebuildForgetsWhatTheLogNeedNotHold(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	old, alsoOld := s.fact(talk, "old", "one"), s.fact(talk, "old", "two")
	age(&old, 30*24*time.Hour+time.Hour)
	s.put(old, alsoOld)
	ids := s.orders(10)
	_, _ = s.play(b)
	s.shows(b, append(ids, "old")...) // for one more day
	s.log.Trim(logOf(talk, "old"), 1)
	s.ask(b, false)
	equal(t, s.rebuilt(b, Swapped))
	s.shows(b, ids...)
	if n := s.words(); n != 10*5 {
		t.Errorf("%d words counted, not %d", n, 10*5)
	}
}

// What was read for a space that was given up is not folded into the next one.
func TestNextRebuildBeginsAtTheStart(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	for i := range 60 { // more than one fetch
		s.say(talk, "o", fmt.Sprint(i, strings.Repeat("x", 10_000)))
	}
	g := newGate(s.log)
	p := New(b, Config{Log: g, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.hearEvery = time.Millisecond
	s.run(p)
	s.shows(b, "o")
	g.shut(1, 60)
	s.ask(b, false)
	g.reached(t)
	door := NewRebuilds(b, s.redis, partitions)
	must(door.Cancel(t.Context()))
	part := logOf(talk, "o").Partition
	eventually(t, func() string {
		if r := s.rebuildOf(b, part); r.State != Cancelled {
			return fmt.Sprintf("%+v", r)
		}
		return ""
	})
	s.ask(b, false)
	eventually(t, func() string {
		if s.spaces(b, fieldBeside)[part] == "" {
			return "not begun"
		}
		return ""
	})
	g.lift()
	eventually(t, func() string {
		r := s.rebuildOf(b, part)
		if r.State != Swapped {
			return fmt.Sprintf("%+v", r)
		}
		equal(t, []Rebuild{r})
		return ""
	})
	s.shows(b, "o")
}

// The rebuilt space never passes the live one: a note folded there and, level, once more would be there twice.
func TestRebuildReadsNoFurtherThanTheLiveSpace(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	c := &cycle[script]{Projection: New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions})}
	task := newTask(0, b.topics())
	task.beside = newSpace("~next:", 0, b.topics())
	task.sources[0].applied = 3
	read := broker.Fetched{TopicPartition: task.sources[0].TopicPartition, Next: 9}
	for offset := range int64(9) {
		read.Records = append(read.Records, broker.Record{Offset: offset})
	}
	if err := c.tookBeside(t.Context(), task, 0, read); err != nil {
		t.Fatal(err)
	}
	if n, at := len(task.beside.pending), task.beside.sources[0].cursor; n != 3 || at != 3 {
		t.Errorf("%d records queued, next is %d", n, at)
	}
}

// The live space waits for the last records of the other one, but not for ever.
func TestLiveSpaceWaitsShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := newTask(0, []string{talk})
		wait := func(want bool, when string) {
			t.Helper()
			if got := task.closing(); got != want {
				t.Errorf("%s: waits %v", when, got)
			}
		}
		wait(false, "nothing beside")
		task.beside = newSpace("~next:", 0, []string{talk})
		task.sources[0].applied = closeGap + 1
		wait(false, "far apart")
		task.beside.sources[0].applied = 1
		wait(true, "close")
		time.Sleep(closeWithin) //nolint:forbidigo // no time passes
		wait(false, "close for long")
		task.sources[0].applied += 10
		wait(false, "apart again")
		task.sources[0].applied -= 10
		wait(true, "close again")
		task.level = true
		wait(false, "level")
	})
}
