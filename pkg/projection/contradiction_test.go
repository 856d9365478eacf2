package projection

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

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

// Superseded facts read nothing again where the chains were met from their beginning.
func TestSupersededFactsReadNothingAgain(t *testing.T) {
	s, b := newStage(t), chronicle()
	ids := sameLog(50)
	for _, id := range ids {
		s.say(talk, id, "one", "two")
	}
	_, _ = s.play(b)
	s.contradict(ids...)
	s.say(talk, ids[0], "three")
	s.shows(b, ids...)
	for _, r := range s.rebuilds(b) {
		if r.State != "" {
			t.Errorf("%+v", r)
		}
	}
}

// Contradicted orders are folded again with their partitions, once, and nothing is left of that.
func TestContradictedOrdersAreRebuilt(t *testing.T) {
	s, b := newStage(t), chronicle()
	ids := append(sameLog(stepItems+10), "p", "q", "r")
	s.adopt(ids...)
	s.contradict(ids...)
	_, _ = s.play(b)
	s.shows(b, ids...)
	s.rest(b)
	if r := s.rebuilds(b)[logOf(talk, "o").Partition]; r.State != rebuild.Swapped || !r.Release {
		t.Errorf("%+v", r)
	}
	if got, want := s.words(), 3*len(ids); got != want {
		t.Errorf("%d words counted, not %d", got, want)
	}
	began := s.rebuilds(b)
	s.contradict(ids...) // their heads are not adopted any more
	s.say(talk, "p", "four")
	s.shows(b, ids...)
	for p, r := range s.rebuilds(b) {
		if !r.Began.Equal(began[p].Began) {
			t.Errorf("partition %d was rebuilt again: %+v", p, r)
		}
	}
}

// Where retention took the start of a chain the head is adopted in a rebuild as well, and believed after one.
func TestContradictedWithoutAStartIsRebuiltOnce(t *testing.T) {
	s, b := newStage(t), chronicle()
	s.say(talk, "o", "one", "two", "three")
	s.log.Trim(logOf(talk, "o"), 2)
	_, _ = s.play(b)
	s.shows(b, "o")
	s.contradict("o")
	p := logOf(talk, "o").Partition
	eventually(t, func() string {
		if r := s.rebuilds(b)[p]; r.State != rebuild.Swapped || r.Clearing {
			return fmt.Sprintf("%+v", r)
		}
		return ""
	})
	began := s.rebuilds(b)[p].Began
	s.contradict("o")
	s.say(talk, "o", "four")
	eventually(t, func() string {
		f, _, err := NewReader(b, s.redis).Get(t.Context(), p, "o")
		if err != nil || strings.Join(f.Doc.Talk, " ") != "three four" {
			return fmt.Sprint(f.Doc, err)
		}
		return ""
	})
	if r := s.rebuilds(b)[p]; !r.Began.Equal(began) {
		t.Errorf("rebuilt again: %+v", r)
	}
}

// While a contradicted order is folded again no other waits, its own events go on, and a restart does not forget it.
func TestOthersGoOnWhileAnOrderIsFoldedAgain(t *testing.T) {
	s, b := newStage(t), chronicle()
	other := sameLog(1)[0]
	s.orders(20) // no log is empty
	s.adopt("o")
	s.contradict("o")
	words := 20*5 + 2
	for range 2 { // two lives
		g := newGate(s.log)
		g.shut(0, 1)
		stop := s.playOn(g)
		g.reached(t)
		for range 2 {
			s.say(talk, other, "word")
			words++
			s.shows(b, other)
		}
		stop()
	}
	_, _ = s.play(b)
	s.say(talk, "o", "four")
	s.shows(b, "o", other)
	s.rest(b)
	if got := s.words(); got != words+2 {
		t.Errorf("%d words counted, not %d", got, words+2)
	}
}
