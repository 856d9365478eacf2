package participant_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/clock"
)

// waitsForDeadline has an order wait, whose deadline is in five minutes, and an instance play whose clock is half an
// hour ahead of Redis's fifteen minutes after that.
func waitsForDeadline(t *testing.T, f func(s *stage, ready func() error)) {
	onStage(t, func(t *testing.T, s *stage) {
		b := clerk(stamp)
		deadline := time.Now().Add(5 * time.Minute)
		b.Deadline = func(l ledger) (time.Time, bool) { return deadline, len(l.Stamped) == 1 }
		_, stop := s.play(b)
		s.hand(notes, "o1", "wait")
		s.eventually("waiting", func() bool { return len(s.facts("o1")) == 1 })
		stop()
		s.passes(20 * time.Minute)
		var forget func()
		s.clock, forget = clock.New(clock.Config{MaxSkew: 30 * time.Second})
		defer forget()
		s.mini.SetTime(time.Now().Add(-30 * time.Minute)) // by Redis the deadline is in a quarter of an hour
		s.mini.SetError("LOADING Redis is loading the dataset in memory")
		p, stop := s.play(b)
		defer stop()
		s.passes(2 * time.Second)
		f(s, p.Ready)
		want(t, "decided by a clock that is wrong", len(s.facts("o1")), 1)
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "clock") {
			t.Errorf("ready: %v", err)
		}
		s.mini.SetTime(time.Now())
		s.eventually("fired", func() bool { return len(s.facts("o1")) == 2 && p.Ready() == nil })
	})
}

// A host boots with a wrong clock, and before its Redis: no deadline is decided before both are compared.
func TestAClockThatIsNotComparedYetDecidesNoDeadline(t *testing.T) {
	waitsForDeadline(t, func(s *stage, _ func() error) {
		s.mini.SetError("")
		s.passes(15 * time.Second)
	})
}

// A clock that is known to be wrong is not right because Redis was away for long.
func TestAClockIsAsWrongAfterAnOutage(t *testing.T) {
	waitsForDeadline(t, func(s *stage, ready func() error) {
		s.mini.SetError("")
		s.eventually("known", func() bool { err := ready(); return err != nil && strings.Contains(err.Error(), "clock") })
		s.mini.SetError("LOADING Redis is loading the dataset in memory")
		s.passes(5 * time.Minute)
		s.mini.SetTime(time.Now().Add(-30 * time.Minute))
		s.mini.SetError("")
		s.passes(15 * time.Second)
	})
}
