package projection

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/task"
)

// What was folded before goes on being read, and folded, until it is replaced as a whole.
func TestNewFoldVersionIsBuiltBeside(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(20)
	_, stop := s.play(b)
	s.shows(b, ids...)
	stop()
	next := loud()
	next.Continues, next.Topics = 1, append(next.Topics, "dance.events.v1")
	if err := s.log.Provision(t.Context(), []broker.Topic{{Name: "dance.events.v1", Partitions: partitions}}); err != nil {
		t.Fatal(err)
	}
	g := newGate(s.log)
	g.shut(0, 1)
	g.logs = []string{talk, song} // what is live reads the new topic from its start, too
	p := New(next, Config{Log: g, Redis: s.redis, Partitions: partitions, CommitEvery: time.Hour})
	p.lookEvery = time.Millisecond
	s.run(p)
	g.reached(t)
	s.say(talk, "order-3", "four")
	reads := s.watchReads(next, ids)
	r := NewReader(next, s.redis)
	eventually(t, func() string {
		f, state, err := r.Get(t.Context(), logOf(talk, "order-3").Partition, "order-3")
		if got := strings.Join(f.Doc.Talk, " "); got != "one two three four!" || state.Incomplete || err != nil {
			return fmt.Sprint("what is live is not folded on: ", got, state, err)
		}
		return ""
	})
	if _, err := s.door(next).Cancel(t.Context()); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("what a release needs can be cancelled: %v", err)
	}
	_, state, err := NewReader(b, s.redis).Get(t.Context(), 0, "nobody")
	if err != nil || !state.Incomplete {
		t.Errorf("the old version takes what the new one folded on for its own: %v", err)
	}
	g.lift()
	for _, r := range s.rebuilt(next, rebuild.Swapped) {
		if !r.Release || r.ID != "" {
			t.Errorf("%+v", r)
		}
	}
	s.shows(next, ids...)
	reads()
	for p, live := range s.entries(next, rebuild.FieldLive) {
		if version := s.redis.HGet(t.Context(), r.store.Key(p, live+keyMeta), fieldVersion).Val(); version != next.version() {
			t.Errorf("partition %d is called %s afterwards: it would be built again", p, version)
		}
	}
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
	}{
		{"own", more.version(), useAll},
		{"own, folded on by another", more.version() + mixed, useForNow},
		{"the one before, with fewer topics", b.version(), useForNow},
		{"the same, folded on by another", b.version() + mixed, useForNow},
		{"too old", old.version(), useNothing},
		{"too new", newer.version(), useNothing},
		{"topics in another order", swapped.version(), useNothing},
		{"nothing", "", useNothing},
		{"garbage", "2.x.y", useNothing},
		{"another layout", "1" + b.version()[1:], useNothing},
	} {
		if u := more.use(c.version); u != c.use {
			t.Errorf("%s: %d", c.name, u)
		}
	}
	more.Continues = 0
	if more.use(b.version()) != useNothing {
		t.Error("a version is continued without a word that it can be")
	}
}

// A shadow that another release began is of no use: it is begun anew, under its name.
func TestShadowOfAnotherReleaseIsNotResumed(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(20)
	_, stop := s.play(b)
	s.shows(b, ids...)
	stop()
	st := NewReader(b, s.redis).store
	for p := range partitions {
		s.redis.HSet(t.Context(), st.Key(p, "~theirs:"+keyMeta), "owner", "they", "seq", 7, fieldVersion, "2.9.other", task.PrefixInput+talk, 99, task.PrefixInput+song, 99)
		s.redis.HSet(t.Context(), st.Key(p, rebuild.Key), "want", `{"id":"r"}`, "is", `{"id":"r","state":"folding"}`, "shadow", "~theirs:")
		s.redis.Set(t.Context(), st.Key(p, "~theirs:order:x"), "nonsense", 0)
	}
	_, _ = s.play(b)
	s.rebuilt(b, rebuild.Swapped)
	s.shows(b, ids...)
}

// What releases stored before there were copies is of no use: nothing of it is answered, and nothing is left of it.
func TestWhatWasStoredBeforeThereWereCopiesIsFoldedAgain(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(20)
	st := NewReader(b, s.redis).store
	for p := range partitions {
		s.redis.HSet(t.Context(), st.Key(p, keyMeta), "owner", "they", "seq", 7, fieldVersion, "1"+strings.TrimPrefix(b.version(), layout),
			"space", "~old:", task.PrefixInput+talk, 99, task.PrefixInput+song, 99, fieldGoal+talk, 0, fieldGoal+song, 0)
		s.redis.HSet(t.Context(), st.Key(p, rebuild.Key), "want", `{"id":"r"}`, "is", `{"id":"r","state":"swapped","folded":3,"live_hash":"x"}`)
		s.redis.Set(t.Context(), st.Key(p, "~old:order:x"), "nonsense", 0)
	}
	_, state, err := NewReader(b, s.redis).Get(t.Context(), 0, "x")
	if err != nil || !state.Incomplete {
		t.Errorf("an order of which nothing is known: %v %v", state, err)
	}
	_, _ = s.play(b)
	s.shows(b, ids...)
	s.oneCopy(b)
	s.ask(b)
	s.rebuilt(b, rebuild.Swapped)
	s.shows(b, ids...)
}
