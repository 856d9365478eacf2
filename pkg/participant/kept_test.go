package participant_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/pack"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
)

// An order outlives its last fact by the retention at least, whoever looks for it; what is in no generation that is
// looked at is dropped.
func TestOrdersOutliveTheirFacts(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.retention = 16 * time.Second
		generation := func() { pass(18 * time.Second) }
		_, stop := s.play(clerk(stamp))
		first := s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
		born, _ := s.order("o1")
		stop() // so that nothing is in memory

		generation()
		_, stop = s.play(clerk(stamp))
		s.log.Append(at(notes, "o1"), first)
		s.hand(notes, "o1", "b")
		s.eventually("b", func() bool { return s.copies("o1") == 2 && s.outbox("o1") == 0 })
		want(t, "facts", s.facts("o1"), []string{"a", "b"})
		moved, o := s.order("o1")
		want(t, "moved", moved > born, true)
		want(t, "its head", o.Own().Sequence, 2)
		want(t, "still there", s.mini.Exists(key("o1", born)), true)

		generation()
		s.hand(notes, "o1", "c")
		s.eventually("c", func() bool { return s.copies("o1") == 3 && s.outbox("o1") == 0 })
		want(t, "still there", s.mini.Exists(key("o1", born)), false)
		stop()
	})
}

// Off for long, a participant finds the orders that it wrote last, and so does its door: a second generation leaves only
// when the next one has lasted.
func TestOrdersAreFoundAfterALongPause(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.retention = 16 * time.Second // a generation is 18 s
		p, stop := s.play(doorman())
		s.eventually("ready", func() bool { return p.Ready() == nil })
		ok, err := place(t.Context(), admission.New(doorman(), s.config()), "o1", "a")
		want(t, "placed", []any{ok, err}, []any{true, nil})
		s.eventually("folded", func() bool { return s.kept("o1") })
		stop()

		for n := 1; n <= 3; n++ {
			pass(time.Hour)
			s.mini.FastForward(time.Hour)
			for _, topic := range []string{participant.FactsTopic("clerk"), notes} { // by retention
				log := at(topic, "o1")
				for _, r := range s.log.Read(log) {
					s.log.Trim(log, r.Offset+1)
				}
			}
			p, stop = s.play(doorman())
			s.eventually("ready", func() bool { return p.Ready() == nil })
			o, found, err := admission.New(doorman(), s.config()).Find(t.Context(), "o1", 3*time.Second)
			want(t, "found", []any{len(o.State.Stamped), found, err}, []any{n, true, nil})
			s.hand(notes, "o1", fmt.Sprint("b", n))
			s.eventually("b", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
			_, kept := s.order("o1")
			want(t, "its head", kept.Own().Sequence, n+1)
			stop()
		}
	})
}

// An earlier release let a generation expire; one that is looked for does not.
func TestOrdersOfAnEarlierReleaseAreKept(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
		stop()
		hash, _ := s.order("o1")
		s.mini.SetTTL(key("o1", hash), time.Hour)

		_, stop = s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "b")
		s.eventually("b", func() bool { return s.copies("o1") == 2 && s.outbox("o1") == 0 })
		want(t, "expires within a year", s.mini.TTL(key("o1", hash)) < 365*24*time.Hour, false)
	})
}

// A host that boots with a clock that is months ahead drops no order: by its time all of them would be over.
func TestAWrongClockDropsNoOrders(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.retention = 16 * time.Second // a generation is 18 s
		_, stop := s.play(clerk(stamp))
		pass(17 * time.Second)
		s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
		pass(2 * time.Second) // a generation later
		for _, other := range []string{"o2", "o3", "o4", "o5"} {
			s.hand(notes, other, "a")
			s.eventually("a", func() bool { return s.copies(other) == 1 && s.outbox(other) == 0 })
		}
		stop()

		var forget func()
		s.clock, forget = clock.New(clock.Config{MaxSkew: 30 * time.Second})
		defer forget()
		s.mini.SetTime(time.Now()) // and goes on no more
		pass(5 * time.Minute)
		_, stop = s.play(clerk(stamp))
		defer stop()
		s.hand(notes, "o1", "b")
		s.eventually("b", func() bool { return s.copies("o1") == 2 && s.outbox("o1") == 0 })
		_, o := s.order("o1")
		want(t, "its head", o.Own().Sequence, 2)
	})
}

// What the layout before this one stored is discarded, and folded again from the log: nothing is answered twice by it, or
// from a state that is not the log's.
func TestOldLayoutIsDiscarded(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		_, stop := s.play(clerk(stamp))
		first := s.hand(notes, "o1", "a")
		s.eventually("a", func() bool { return s.copies("o1") == 1 && s.outbox("o1") == 0 })
		stop()

		hash, _ := s.order("o1")
		old := pack.Text(pack.Text(nil, "own"), "7 another")
		old = pack.Text(pack.Text(old, "state"), `{"Stamped":["wrong"]}`)
		s.redis.HSet(t.Context(), key("o1", hash), "o1", string(old))
		s.redis.HSet(t.Context(), key("o1", "meta"), "fold_version", "7.1")

		_, stop = s.play(clerk(stamp))
		s.log.Append(at(notes, "o1"), first) // delivered again
		s.hand(notes, "o1", "b")
		s.eventually("b", func() bool { return s.copies("o1") == 2 && s.outbox("o1") == 0 })
		stop()
		want(t, "facts", s.facts("o1"), []string{"a", "b"})
		_, o := s.order("o1")
		want(t, "its head", o.Own().Sequence, 2)
		want(t, "its state", o.State, `{"Stamped":["a","b"],"Until":"0001-01-01T00:00:00Z"}`)
	})
}
