package participant_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
)

// patient is a doorman who sees a doctor and, once a note says "wait", stamps nothing a minute later.
func patient(d *doctor) participant.Behavior[ledger] {
	b := doorman()
	b.React = d.react
	b.Deadline = func(l ledger) (time.Time, bool) { return l.Until, !l.Until.IsZero() }
	evolve := b.Evolve
	b.Evolve = func(l ledger, fact event.Message) ledger {
		l = evolve(l, fact)
		if l.Until = (time.Time{}); slices.Equal(l.Stamped, []string{"wait"}) {
			l.Until = fact.Time.Add(time.Minute).Truncate(time.Millisecond)
		}
		return l
	}
	return b
}

// Row 20: Redis loses one kind of a task's keys and keeps the others, while the task plays or while nobody does. What
// it was for happens all the same, and the door never calls an order unknown that it has admitted.
func TestPartOfTheStoreIsLost(t *testing.T) {
	for _, lost := range []string{"meta", "orders:[0-9]*", "orders:parked", "outbox", "timers", "parked", "parked:o3", "marker:o1"} {
		for _, playing := range []bool{true, false} {
			t.Run(strings.NewReplacer(":", " ", "*", "").Replace(lost)+map[bool]string{true: ", playing", false: ", stopped"}[playing], func(t *testing.T) {
				onStage(t, func(t *testing.T, s *stage) { s.loses(lost, playing) })
			})
		}
	}
}

func (s *stage) loses(lost string, playing bool) {
	t, d := s.t, newDoctor()
	p, stop := s.play(patient(d))
	defer func() { stop() }()
	s.eventually("ready", func() bool { return p.Ready() == nil })
	door := admission.New(patient(d), s.config())
	if ok, err := place(t.Context(), door, "o1", "tea"); !ok || err != nil {
		t.Fatalf("place: %v %v", ok, err)
	}
	s.sick("o3")
	s.hand(notes, "o2", "wait")
	s.eventually("waiting", func() bool { return len(s.facts("o2")) == 1 && s.outbox("o1")+s.outbox("o2")+s.outbox("o3") == 0 })
	s.log.OnProduce(func(b broker.Batch) brokertest.Fate { // what o4 is answered stays in the outbox
		return brokertest.Fate{Answer: brokertest.ErrLost, Drop: string(b.Records[0].Key) == "o4"}
	})
	s.hand(notes, "o4", "a")
	s.eventually("decided", func() bool { return s.outbox("o4") == 1 })

	if !playing {
		stop()
	}
	keys := s.redis.Keys(t.Context(), "{clerk:*}:"+lost).Val()
	if n := s.redis.Del(t.Context(), keys...).Val(); n == 0 {
		t.Fatalf("there is no key %s", lost)
	}
	if !playing {
		p, stop = s.play(patient(d))
	}
	for range 300 { // as long as it may take to be noticed, and to be folded
		if _, ok, err := door.Find(t.Context(), "o1", 20*time.Millisecond); !ok && fault.ClassOf(err) != fault.Unavailable {
			t.Fatalf("a false 404: %v", err)
		}
		if again, err := place(t.Context(), door, "o1", "tea"); again || err != nil && fault.ClassOf(err) != fault.Unavailable {
			t.Fatalf("admitted again: %v %v", again, err)
		}
		wait()
	}
	want(t, "ready", p.Ready(), nil)
	if !strings.HasPrefix(lost, "marker") && !strings.HasPrefix(lost, "parked:") {
		want(t, "there again", len(s.redis.Keys(t.Context(), "{clerk:*}:"+lost).Val()), len(keys))
	}
	s.log.OnProduce(nil)
	s.eventually("published", func() bool { return len(s.facts("o4")) == 1 })
	s.eventually("fired", func() bool { return strings.Join(s.facts("o2"), ",") == "wait," })
	_, err := place(t.Context(), door, "o1", "coffee")
	want(t, "another body", fault.ClassOf(err), fault.Conflict)
	d.set("poison", nil)
	s.ask(1, deadletter.Redrive, "o3", "")
	s.closes("o3", 1)
	want(t, "redriven", s.facts("o3"), []string{"poison"})
	for _, order := range []string{"o1", "o3", "o4"} {
		want(t, "facts of "+order, s.copies(order), 1)
	}
}
