package participant_test

import (
	"testing"
	"testing/synctest"

	"github.com/alicebob/miniredis/v2"
)

func TestEveryEventIsAnsweredOnceAndInOrder(t *testing.T) {
	mini := miniredis.RunT(t)
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, mini)
		p, stop := s.play(clerk(stamp))
		s.eventually("ready", func() bool { return p.Ready() == nil })
		for _, body := range []string{"a", "b", "c"} {
			r := s.hand(notes, "o1", body)
			s.log.Append(at(notes, "o1"), r) // every record twice
			s.hand(notes, "o2", body)
		}
		s.eventually("answers", func() bool { return len(s.facts("o1")) == 3 && len(s.facts("o2")) == 3 })
		want(t, "facts", s.facts("o1"), []string{"a", "b", "c"})
		want(t, "facts in the log", s.copies("o1"), 3)
		s.eventually("commit", func() bool { return s.log.Committed("clerk")[at(notes, "o1")] >= 6 })
		stop()
	})
}
