package projection

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const rumours = "rumours.v1"

// gossip folds rumours too: a record says of whom it is and what.
func gossip() Behavior[script] {
	b := chronicle()
	b.Notes = []string{rumours}
	b.Note = func(r broker.Record) (string, func(script) script, error) {
		who, what, ok := strings.Cut(string(r.Value), " ")
		switch {
		case !ok:
			return "", nil, errors.New("says nothing")
		case who == "panic":
			panic("a name nobody can say")
		}
		return who, func(doc script) script {
			if what == "panic" {
				panic("a rumour nobody can tell")
			}
			doc.Song = append(slices.Clone(doc.Song), what)
			return doc
		}, nil
	}
	return b
}

func TestNotesHaveDocumentsOfTheirOwn(t *testing.T) {
	s := newStage(t)
	if err := s.log.Provision(t.Context(), []broker.Topic{{Name: rumours, Partitions: partitions}}); err != nil {
		t.Fatal(err)
	}
	b := gossip()
	p := logOf(talk, "q").Partition // bob's as well
	rumour := func(text string) {
		s.put(broker.Record{Topic: rumours, Partition: p, Key: []byte("q"), Value: []byte(text)})
	}
	s.say(talk, "q", "one", "two")
	// What says it is an event of the order is a note nevertheless, also when the order is read from the log's start.
	head := s.heads[talk+"q"]
	liar := s.fact(talk, "q", "three")
	liar.Topic, liar.Value = rumours, []byte("bob drinks")
	s.put(liar)
	s.heads[talk+"q"] = head
	rumour("bob sings")
	for _, bad := range []string{"nothing", "panic x", "bob panic"} {
		rumour(bad)
	}
	rumour("bob sings")
	stranger := s.fact(talk, NoteID("bob"), "steals")
	stranger.Partition = p
	s.put(stranger)
	r := NewReader(b, s.redis)
	check := func(words string) {
		t.Helper()
		eventually(t, func() string {
			f, state, err := r.Get(t.Context(), p, NoteID("bob"))
			if got := strings.Join(f.Doc.Song, " "); got != "drinks sings sings" || f.Version != 3 || len(f.Doc.Talk) != 0 || state.Incomplete {
				return fmt.Sprint(got, " version ", f.Version, f.Doc.Talk, state, err)
			}
			f, _, err = r.Get(t.Context(), p, "q")
			if got := strings.Join(f.Doc.Talk, " "); got != words || f.Doc.Song != nil {
				return fmt.Sprint(got, f.Doc.Song, err)
			}
			return ""
		})
	}
	_, stop := s.play(b)
	check("one two")
	if n := s.redis.LLen(t.Context(), r.store.Key(p, keyUndecodable)).Val(); n != 4 {
		t.Errorf("%d records remembered as unreadable, not 4", n)
	}
	stop()
	s.forget(p, "q")
	s.say(talk, "q", "three")
	_, stop = s.play(b)
	check("three") // adopted
	s.put(record2(t, event.Event{
		ID: "void", Sequence: 2, PreviousID: "nobody", Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "zombie",
		Subject: "q", Time: time.Now(),
	}, talk, "never"))
	check("one two three")
	stop()
	s.redis.FlushAll(t.Context())
	_, _ = s.play(b)
	check("one two three")
}
