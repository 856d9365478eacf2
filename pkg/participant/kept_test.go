package participant_test

import (
	"testing"
	"time"
)

// An order outlives its last fact by the retention at least, whoever looks for it; what is in no generation that is
// looked at is dropped.
func TestOrdersOutliveTheirFacts(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.retention = 16 * time.Second // a generation is 18 s
		generation := func() {
			pass(time.Until(time.Now().Truncate(18 * time.Second).Add(18 * time.Second)))
		}
		generation()
		_, stop := s.play(clerk(stamp))
		first := s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
		born, _ := s.order("o1")
		want(t, "expires", s.mini.TTL(key("o1", born)) > 36*time.Second, true)
		stop() // so that nothing is in memory

		generation()
		_, stop = s.play(clerk(stamp))
		s.log.Append(at(notes, "o1"), first)
		s.hand(notes, "o1", "b")
		s.eventually("b", func() bool { return s.copies("o1") == 2 && s.outbox("o1") == 0 })
		want(t, "facts", s.facts("o1"), []string{"a", "b"})
		moved, fields := s.order("o1")
		want(t, "moved", moved > born, true)
		want(t, "its head", fields["own"][:2], "2 ")
		want(t, "still there", s.mini.Exists(key("o1", born)), true)

		generation()
		s.hand(notes, "o1", "c")
		s.eventually("c", func() bool { return s.copies("o1") == 3 && s.outbox("o1") == 0 })
		want(t, "still there", s.mini.Exists(key("o1", born)), false)
		stop()
	})
}
