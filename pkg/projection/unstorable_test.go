package projection

import (
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
)

// A document that has no stored form (JSON has none for the year 10000) stays as it was, and stops no other.
func TestDocumentThatCannotBeStored(t *testing.T) {
	s, b := newStage(t), chronicle()
	fold := b.Fold
	b.Fold = func(doc script, m event.Message, at At) script {
		doc = fold(doc, m, at)
		if doc.Talk[len(doc.Talk)-1] == "never" {
			doc.Since = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
		}
		return doc
	}
	s.say(talk, "o1", "a", "never")
	s.say(talk, "o2", "never")
	s.say(talk, "o3", "a")
	s.play(b)
	r := NewReader(b, s.redis)
	word := func(order string) (words []string, version uint64) {
		found, _, err := r.Get(t.Context(), logOf(talk, order).Partition, order)
		if err != nil {
			return nil, 0
		}
		return found.Doc.Talk, found.Version
	}
	eventually(t, func() string {
		if words, _ := word("o3"); len(words) != 1 {
			return "o3 is not there"
		}
		return ""
	})
	s.say(talk, "o2", "b")
	eventually(t, func() string {
		if words, version := word("o2"); len(words) != 1 || words[0] != "b" || version != 2 {
			return "o2 did not go on"
		}
		return ""
	})
	if words, version := word("o1"); version != 2 || len(words) > 1 {
		t.Errorf("o1: %v, version %d", words, version)
	}
}
