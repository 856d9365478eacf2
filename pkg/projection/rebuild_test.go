package projection

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// gate is a log that lets nobody read the records before an offset, while it is shut: what is rebuilt stays in the middle.
type gate struct {
	broker.Log
	mu     sync.Mutex
	before int64
	open   chan struct{}
	waits  int
}

func newGate(log broker.Log) *gate { return &gate{Log: log, open: make(chan struct{})} }

func (g *gate) shut(before int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before, g.waits, g.open = before, 0, make(chan struct{})
}

func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.before > 0 {
		close(g.open)
	}
	g.before = 0
}

func (g *gate) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	g.mu.Lock()
	open := g.open
	wait := slices.ContainsFunc(from, func(p broker.Position) bool { return p.Offset < g.before })
	if wait {
		g.waits++
	}
	g.mu.Unlock()
	if wait {
		select {
		case <-open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return g.Log.Fetch(ctx, from)
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waits
}

// rebuilt waits until the last rebuild of every partition is in a state, and nothing that it left is there.
func (s *stage) rebuilt(b Behavior[script], state RebuildState) []Rebuild {
	s.t.Helper()
	door := NewRebuilds(b, s.redis, partitions)
	var last []Rebuild
	eventually(s.t, func() string {
		all, err := door.State(s.t.Context())
		for _, r := range all {
			if r.State != state || r.Clearing {
				return fmt.Sprintf("partition %d: %+v", r.Partition, r)
			}
		}
		last = all
		return fmt.Sprint(err)[:0]
	})
	s.oneSpace(b)
	return last
}

// oneSpace checks that every key is of the space that is live.
func (s *stage) oneSpace(b Behavior[script]) {
	s.t.Helper()
	st := NewReader(b, s.redis).store
	err := st.Scan(s.t.Context(), func(p int, rests []string) error {
		live := s.redis.HGet(s.t.Context(), st.Key(p, keyMeta), fieldSpace).Val()
		for _, rest := range rests {
			if !reserved(rest) && spaceOf(rest) != live {
				s.t.Errorf("key %s of partition %d is left, live is %q", rest, p, live)
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) ask(b Behavior[script], keep bool) {
	s.t.Helper()
	if _, err := NewRebuilds(b, s.redis, partitions).Start(s.t.Context(), keep); err != nil {
		s.t.Fatal(err)
	}
}

func equal(t *testing.T, all []Rebuild) {
	t.Helper()
	for _, r := range all {
		if r.Differing != 0 || r.LiveHash != r.RebuiltHash || r.LiveHash == "" || r.Folded != r.Of {
			t.Errorf("partition %d: %+v", r.Partition, r)
		}
	}
}

// orders makes some with events in both topics.
func (s *stage) orders(n int) (ids []string) {
	for i := range n {
		id := fmt.Sprint("order-", i)
		ids = append(ids, id)
		s.say(talk, id, "one", "two", "three")
		s.say(song, id, "la", "li")
	}
	return ids
}

// watchReads reads all orders all the time until stop is called: each read is answered, and no order becomes older.
func (s *stage) watchReads(b Behavior[script], ids []string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		r := NewReader(b, s.redis)
		reads, versions := 0, map[string]uint64{}
		for ; ctx.Err() == nil; reads++ {
			id := ids[reads%len(ids)]
			f, state, err := r.Get(ctx, logOf(talk, id).Partition, id)
			switch {
			case ctx.Err() != nil:
			case err != nil || state.Rebuilding:
				s.t.Errorf("read %d: %v, rebuilding %v", reads, err, state.Rebuilding)
				cancel()
			case f.Version < versions[id]:
				s.t.Errorf("order %s went back from version %d to %d", id, versions[id], f.Version)
				cancel()
			default:
				versions[id] = f.Version
			}
		}
		done <- reads
	}()
	return sync.OnceFunc(func() {
		cancel()
		if reads := <-done; reads < 100 {
			s.t.Errorf("only %d reads", reads)
		}
	})
}

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
			p := logOf(talk, "order-0").Partition
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
				// The old space of partitions without a difference goes all the same.
				eventually(t, func() string {
					if r := s.rebuildOf(b, p); r.State != Kept {
						return fmt.Sprintf("%+v", r)
					}
					return ""
				})
			} else {
				s.rebuilt(b, state)
			}
			r := s.rebuildOf(b, p)
			slices.Sort(r.Differs)
			if p == logOf(talk, "order-1").Partition {
				want = append(want, "order-1")
			} else if r := s.rebuildOf(b, logOf(talk, "order-1").Partition); r.Differing != 1 || !slices.Equal(r.Differs, []string{"order-1"}) {
				t.Errorf("a document that is missing: %+v", r)
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
			eventually(t, func() string {
				for p := range partitions {
					if s.rebuildOf(b, p).Clearing {
						return "it is still clearing"
					}
				}
				return ""
			})
			s.oneSpace(b)
		})
	}
}

func (s *stage) rebuildOf(b Behavior[script], p int) Rebuild {
	s.t.Helper()
	all, err := NewRebuilds(b, s.redis, partitions).State(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return all[p]
}

// What was folded before goes on being read, and folded, until it is replaced as a whole.
func TestNewFoldVersionIsBuiltBeside(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(20)
	_, stop := s.play(b)
	s.shows(b, ids...)
	stop()
	next := loud()
	next.Continues = 1
	g := newGate(s.log)
	g.shut(1)
	p := New(next, Config{Log: g, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.hearEvery = time.Millisecond
	stop = s.run(p)
	eventually(t, func() string {
		if g.waiting() == 0 {
			return "nothing is built beside"
		}
		return ""
	})
	s.say(talk, "order-3", "four")
	reads := s.watchReads(next, ids)
	r := NewReader(next, s.redis)
	eventually(t, func() string {
		f, state, err := r.Get(t.Context(), logOf(talk, "order-3").Partition, "order-3")
		if got := strings.Join(f.Doc.Talk, " "); got != "one two three four!" || state.Rebuilding || err != nil {
			return fmt.Sprint("what is live is not folded on: ", got, state, err)
		}
		return ""
	})
	if _, err := NewRebuilds(next, s.redis, partitions).Cancel(t.Context()); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("what a release needs can be cancelled: %v", err)
	}
	_, state, err := NewReader(b, s.redis).Get(t.Context(), 0, "nobody")
	if err != nil || !state.Rebuilding {
		t.Errorf("the old version takes what the new one folded on for its own: %v", err)
	}
	g.lift()
	for _, r := range s.rebuilt(next, Swapped) {
		if !r.Release || r.ID != "" {
			t.Errorf("%+v", r)
		}
	}
	s.shows(next, ids...)
	reads()
	stop()
	_, _ = s.play(next) // and nothing is built again
	s.shows(next, ids...)
	s.oneSpace(next)
}

// loud is the next version of the chronicle.
func loud() Behavior[script] {
	next := chronicle()
	next.FoldVersion = 2
	fold := next.Fold
	next.Fold = func(doc script, m event.Message, at At) script {
		doc = fold(doc, m, at)
		if at.Topic == talk {
			doc.Talk[len(doc.Talk)-1] += "!"
		}
		return doc
	}
	return next
}

func TestVersionsThatCanBeUsed(t *testing.T) {
	b := loud()
	b.Topics = []string{talk, song}
	more := b
	more.Topics = []string{talk, song, "dance"}
	more.Continues, more.FoldVersion = 2, 3
	old := b
	old.FoldVersion = 1
	swapped := b
	swapped.Topics = []string{song, talk}
	newer := more
	newer.FoldVersion = 4
	for _, c := range []struct {
		name    string
		version string
		use     use
		topics  int
	}{
		{"own", more.version(), useAll, 3},
		{"own, folded on by another", more.version() + mixed, useForNow, 3},
		{"the one before, with fewer topics", b.version(), useForNow, 2},
		{"the same, folded on by another", b.version() + mixed, useForNow, 2},
		{"too old", old.version(), useNothing, 0},
		{"too new", newer.version(), useNothing, 0},
		{"topics in another order", swapped.version(), useNothing, 0},
		{"nothing", "", useNothing, 0},
		{"garbage", "1.x.y", useNothing, 0},
		{"another layout", "0" + b.version()[1:], useNothing, 0},
	} {
		if u, n := more.use(c.version); u != c.use || n != c.topics {
			t.Errorf("%s: %d with %d topics", c.name, u, n)
		}
	}
	more.Continues = 0
	if u, _ := more.use(b.version()); u != useNothing {
		t.Error("a version is continued without a word that it can be")
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
	g.shut(1)
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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
