package projection

import (
	"fmt"
	"testing"

	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// forget deletes a document with its age, as a sweep does: nobody misses it.
func (s *stage) forget(partition int, id string) {
	s.t.Helper()
	key := taskstore.New(s.redis, chronicle().Name).Key
	if err := s.redis.Del(s.t.Context(), key(partition, keyOrder+id)).Err(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.redis.ZRem(s.t.Context(), key(partition, "all"), id).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// Redis loses one kind of the read model's keys and keeps the others, while it is folded or while nobody does: what is
// not found is never said not to exist, and all is folded again, at the latest when it is asked for, or an event of it
// comes.
func TestPartOfTheReadModelIsLost(t *testing.T) {
	for _, lost := range []string{keyOrder + "o", "all", "counts", keyMeta} {
		for _, playing := range []bool{true, false} {
			for _, news := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s playing=%v news=%v", lost, playing, news), func(t *testing.T) { loses(t, lost, playing, news) })
			}
		}
	}
}

func loses(t *testing.T, lost string, playing, news bool) {
	s, b := newStage(t), chronicle()
	b.Kept = []string{"all", "counts"}
	s.say(talk, "o", "one", "two")
	_, stop := s.play(b)
	s.shows(b, "o")
	if !playing {
		stop()
	}
	p := logOf(talk, "o").Partition
	key := taskstore.New(s.redis, b.Name).Key(p, lost)
	if n := s.redis.Del(t.Context(), key).Val(); n != 1 {
		t.Fatalf("there was no %s", key)
	}
	if !playing {
		_, _ = s.play(b)
	}
	said := 2
	if news {
		s.say(talk, "o", "three")
		said++
	}
	r := NewReader(b, s.redis)
	eventually(t, func() string {
		f, state, err := r.Get(t.Context(), p, "o")
		switch {
		case err == nil && f.Version == 0 && !state.Incomplete:
			t.Fatal("a document that is lost is said not to exist")
		case err == nil && f.Version > 0 && f.Doc.Talk[0] != "one":
			t.Fatalf("a document begins in its middle: %v", f.Doc.Talk)
		}
		there := s.redis.Exists(t.Context(), key).Val()
		if err != nil || state.Incomplete || there == 0 || len(f.Doc.Talk) != said || s.words() != said {
			return fmt.Sprint(f.Doc.Talk, state.Incomplete, there, s.words(), err)
		}
		return ""
	})
}
