package participant_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
)

// The whole chain comes back, first in, first out, of whatever topics; then the order goes on.
func TestRedriveRunsTheChain(t *testing.T) {
	treated(t, func(t *testing.T, s *stage, d *doctor) {
		d.set("poison", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "facts", s.facts("o1"), []string{"poison", "b", "m1", "c", "m2"})
		want(t, "asked", d.called(), []string{"poison", "b", "m1", "c", "m2"})
		want(t, "told", s.since("o1", 5), []string{"redriven poison", "redriven b", "redriven m1", "redriven c", "redriven m2", "closed 5/0"})
		s.hand(notes, "o1", "d")
		s.eventually("goes on", func() bool { return len(s.facts("o1")) == 6 })
		want(t, "keys", s.mini.Exists(key("o1", "parked")) || s.mini.Exists(key("o1", "parked:o1")), false)
		last, _ := deadletter.Parse(s.log.Read(at("clerk.dead-letters.v1", "o1"))[10])
		want(t, "who and why", last.By+" "+last.Reason+" "+last.RequestID, "ada fixed request-1")
	}, "b", "m1", "c", "m2")
}

// What fails again stays at its place, and so does all behind it; how often is counted, through a flush too.
func TestRedriveFailsAgain(t *testing.T) {
	treated(t, func(t *testing.T, s *stage, d *doctor) {
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		s.mini.FlushAll()
		s.eventually("folded", func() bool { return s.mini.Exists(key("o1", "parked:o1")) })
		s.ask(2, deadletter.Redrive, "o1", "")
		s.closes("o1", 2)
		want(t, "asked", d.called(), []string{"poison", "poison"})
		want(t, "told", s.since("o1", 3), []string{"failed poison*1", "closed 0/3 permanent", "failed poison*2", "closed 0/3 permanent"})
		d.set("poison", nil)
		d.set("b", errPoison)
		s.ask(3, deadletter.Redrive, "o1", "")
		s.closes("o1", 3)
		want(t, "told", s.since("o1", 7), []string{"redriven poison", "failed b*1", "closed 1/2 permanent"})
		d.set("b", nil)
		s.ask(4, deadletter.Redrive, "o1", "")
		s.closes("o1", 4)
		want(t, "facts", s.facts("o1"), []string{"poison", "b", "c"})
	}, "b", "c")
}

// A letter that is not ready lets those of other topics pass; when nothing can move, the head has failed.
func TestRedriveOfALetterThatIsNotReady(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		_, stop := s.play(clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if text(m) == "m1" && !slices.Contains(l.Stamped, "c") {
				return nil, fault.New(fault.NotYet, "c is missing")
			}
			return d.react(ctx, l, m)
		}))
		defer stop()
		s.sick("o1", "m1", "m2", "b", "c", "d")
		d.set("poison", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "facts", s.facts("o1"), []string{"poison", "b", "c", "m1", "m2", "d"})
		d.set("poison", errPoison)
		s.sick("o2", "m1", "m2", "b")
		d.set("poison", nil)
		s.ask(2, deadletter.Redrive, "o2", "")
		s.closes("o2", 1)
		want(t, "told", s.since("o2", 4), []string{"redriven poison", "redriven b", "failed m1*1", "closed 2/2 not_yet"})
	})
}

// An edit replaces the head's payload, says so to React, and redrives the rest as it came.
func TestEdit(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		var edited atomic.Value
		_, stop := s.play(clerk(func(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
			if participant.Edited(ctx) {
				edited.Store(text(m))
			}
			return d.react(ctx, l, m)
		}))
		defer stop()
		s.sick("o1", "b", "c")
		s.ask(1, deadletter.Edit, "o1", "b")
		s.closes("o1", 1)
		want(t, "told", s.since("o1", 3), []string{"closed 0/3 conflict"})
		d.set("edited", errPoison)
		s.ask(2, deadletter.Edit, "o1", "poison")
		s.closes("o1", 2)
		want(t, "told", s.since("o1", 4), []string{"failed poison*1", "closed 0/3 permanent"})
		s.ask(3, deadletter.Redrive, "o1", "") // with the payload as it came
		s.closes("o1", 3)
		want(t, "told", s.since("o1", 6), []string{"failed poison*2", "closed 0/3 permanent"})
		d.set("edited", nil)
		s.ask(4, deadletter.Edit, "o1", "poison")
		s.closes("o1", 4)
		want(t, "told", s.since("o1", 8), []string{"edited poison", "redriven b", "redriven c", "closed 3/0"})
		want(t, "facts", s.facts("o1"), []string{"edited", "b", "c"})
		want(t, "React knew", edited.Load(), "edited")
	})
}

// A letter that the store keeps, and that is damaged there, is folded again from the log.
func TestRedriveOfADamagedLetter(t *testing.T) {
	treated(t, func(t *testing.T, s *stage, d *doctor) {
		kept := key("o1", "parked:o1")
		for id, text := range s.redis.HGetAll(t.Context(), kept).Val() {
			var letter broker.Record
			if err := json.Unmarshal([]byte(text), &letter); err != nil {
				t.Fatal(err)
			}
			letter.Headers = letter.Headers[:len(letter.Headers)/2]
			damaged, err := json.Marshal(letter)
			if err != nil {
				t.Fatal(err)
			}
			s.mini.HSet(kept, id, string(damaged))
		}
		d.set("poison", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "facts", s.facts("o1"), []string{"poison", "b"})
		want(t, "told", s.since("o1", 2), []string{"redriven poison", "redriven b", "closed 2/0"})
	}, "b")
}

// A discarded event counts as seen; what stood behind it waits for a redrive.
func TestDiscard(t *testing.T) {
	treated(t, func(t *testing.T, s *stage, d *doctor) {
		s.ask(1, deadletter.Discard, "o1", "b")
		s.ask(2, deadletter.Discard, "o1", "poison")
		s.ask(3, deadletter.Discard, "o1", "poison")
		s.closes("o1", 3)
		want(t, "told", s.since("o1", 3), []string{"discarded b", "closed 0/2", "discarded poison", "closed 0/1", "closed 0/1 not_found"})
		want(t, "asked", d.called(), []string{})
		s.mini.FlushAll()
		s.eventually("folded", func() bool { return s.mini.Exists(key("o1", "parked:o1")) })
		for _, r := range s.log.Read(at(notes, "o1")) { // delivered again
			s.log.Append(at(notes, "o1"), r)
		}
		s.ask(4, deadletter.Redrive, "o1", "")
		s.closes("o1", 4)
		want(t, "facts", s.facts("o1"), []string{"c"})
		want(t, "told", s.since("o1", 8), []string{"redriven c", "closed 1/0"})
		d.called()
		s.mini.FlushAll()
		s.eventually("folded", func() bool { return s.kept("o1") })
		for _, r := range s.log.Read(at(notes, "o1"))[:3] { // and again, when nothing waits any more
			s.log.Append(at(notes, "o1"), r)
		}
		s.eventually("read", func() bool {
			return s.log.Committed("clerk")[at(notes, "o1")] == int64(len(s.log.Read(at(notes, "o1"))))
		})
		want(t, "asked", d.called(), []string{})
	}, "b", "c")
}

// A request counts once; what is none is passed over; one that finds nothing to do says so.
func TestRequests(t *testing.T) {
	treated(t, func(t *testing.T, s *stage, d *doctor) {
		r := s.ask(1, deadletter.Redrive, "o1", "")
		s.log.Append(at(asks, "o1"), r, r)
		s.closes("o1", 1)
		want(t, "asked", d.called(), []string{"poison"})
		garbage := s.note(notes, "o1", "z")
		s.log.Append(at(asks, "o1"), garbage, broker.Record{Value: []byte("no key")}, broker.Record{Key: []byte("o1")})
		s.ask(2, deadletter.Redrive, "o3", "")
		s.ask(3, deadletter.Discard, "o1", "never was")
		s.ask(4, deadletter.Redrive, "o1", "b") // decided upon another head
		s.closes("o1", 3)
		want(t, "partition", at(notes, "o1"), at(notes, "o3"))
		want(t, "told of o1", s.since("o1", 2), []string{"failed poison*1", "closed 0/2 permanent", "closed 0/2 not_found", "closed 0/2 conflict"})
		want(t, "told of o3", s.told("o3"), []string{"closed 0/0 not_found"})
		s.mini.FlushAll()
		s.log.Append(at(asks, "o1"), r) // a flush does not forget that it was answered
		s.closes("o1", 3)
		want(t, "asked", d.called(), []string{})
	}, "b")
}

// An outage is no failure: the lane waits, for the gateway as for the store that holds the letters.
func TestRedriveWaitsForAnOutage(t *testing.T) {
	treated(t, func(t *testing.T, s *stage, d *doctor) {
		d.set("poison", fault.New(fault.Unavailable, "gateway down"))
		s.ask(1, deadletter.Redrive, "o1", "")
		pass(3 * time.Minute)
		want(t, "told", s.since("o1", 2), []string{})
		d.set("poison", nil)
		d.called()
		s.eventually("asked again", func() bool { return len(d.called()) > 0 })
		s.mini.SetError("LOADING Redis is loading the dataset in memory")
		pass(10 * time.Second)
		s.mini.SetError("")
		s.closes("o1", 1)
		want(t, "told", s.since("o1", 2), []string{"redriven poison", "redriven b", "closed 2/0"})
	}, "b")
}

// A deadline that cannot be answered is a letter as any other; the ones of an order whose chain is gone work again.
func TestDeadlineIsParkedAndComesBack(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		d.set("", errPoison) // what has no body is the deadline
		_, stop := s.play(waiter(d.react))
		defer stop()
		for _, o := range []string{"o1", "o2", "o3"} {
			s.hand(notes, o, "wait")
			s.eventually("parked", func() bool { return len(s.told(o)) == 1 })
		}
		s.ask(1, deadletter.Redrive, "o1", "")
		s.closes("o1", 1)
		want(t, "told", s.since("o1", 1), []string{"failed *1", "closed 0/1 permanent"})
		letter, _ := deadletter.Parse(s.log.Read(at("clerk.dead-letters.v1", "o1"))[0])
		want(t, "came from", letter.Topic, "deadline")
		s.ask(2, deadletter.Edit, "o1", letter.ID)
		s.closes("o1", 2)
		want(t, "told", s.since("o1", 3), []string{"failed *2", "closed 0/1 invalid"})
		s.mini.FlushAll()
		d.set("", nil)
		s.ask(3, deadletter.Redrive, "o1", "")
		s.closes("o1", 3)
		want(t, "facts", strings.Join(s.facts("o1"), ","), "wait,")
		s.ask(4, deadletter.Discard, "o2", header(s.log.Read(at("clerk.dead-letters.v1", "o2"))[0], "__dlq.id"))
		s.closes("o2", 1)
		pass(time.Minute)
		want(t, "facts", strings.Join(s.facts("o2"), ","), "wait")
	})
}

// A deadline waits while letters of its order do, and fires once they are gone.
func TestDeadlineAfterTheChain(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		_, stop := s.play(waiter(d.react))
		defer stop()
		s.hand(notes, "o1", "wait")
		s.sick("o1")
		pass(time.Minute)
		want(t, "facts", s.facts("o1"), []string{"wait"})
		d.set("poison", nil)
		s.ask(1, deadletter.Redrive, "o1", "")
		s.eventually("fired", func() bool { return len(s.facts("o1")) == 3 })
		want(t, "facts", strings.Join(s.facts("o1"), ","), "wait,poison,")
	})
}

// The partition that stopped at its bound hears requests, and goes on when there is room: a thousand letters come back
// in order.
func TestThousandLettersAtTheBound(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		const letters = 1000
		d := newDoctor()
		p, stop := s.play(clerk(d.react))
		defer stop()
		s.hand(notes, "o1", "poison")
		chain := []string{"poison"}
		for i := range letters + 5 {
			chain = append(chain, fmt.Sprint(i))
			s.hand(notes, "o1", chain[i+1])
		}
		s.eventually("stopped", func() bool { return p.Ready() != nil && len(s.told("o1")) == letters })
		s.hand(notes, "o3", "other") // of the same partition
		pass(5 * time.Second)
		want(t, "others while it is stopped", s.copies("o3"), 0)
		d.set("poison", nil)
		d.called()
		s.ask(1, deadletter.Redrive, "o1", "")
		s.eventually("all", func() bool { return len(s.facts("o1")) == len(chain) && s.copies("o3") == 1 })
		s.closes("o1", 1)
		want(t, "facts", s.facts("o1"), chain)
		want(t, "asked", len(d.called()), len(chain)+1)
		want(t, "ready", p.Ready(), nil)
	})
}
