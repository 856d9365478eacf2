package participanttest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// maxSteps of a life: more than an order has events.
const maxSteps = 14

var orderID = event.MakeID("order")

// life is one order's, up to the first rule that is broken.
type life[S any] struct {
	suite    Suite[S]
	instance func() participant.Behavior[S]
	veteran  participant.Behavior[S] // lives all of it

	state  S
	own    int // facts so far, of which the state is the fold
	events []*delivered
	now    time.Time
	lines  []string // what happened, a line each
	broken error
}

// delivered is an event that was made, and how it was answered. It may come again.
type delivered struct {
	event.Message
	nothing, fact bool
}

func (l *life[S]) String() string { return strings.Join(l.lines, "\n") + "\n" }

// breaks records the rule that is broken; the first one counts.
func (l *life[S]) breaks(rule, format string, args ...any) {
	if l.broken == nil {
		l.broken = fmt.Errorf("%s: "+format, append([]any{rule}, args...)...)
	}
}

func (l *life[S]) note(format string, args ...any) {
	l.lines = append(l.lines, "  "+fmt.Sprintf(format, args...))
}

// live draws a life and lives it.
func (s Suite[S]) live(t *rapid.T) *life[S] {
	l := &life[S]{suite: s, instance: s.Instances(t), now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	l.veteran = l.instance()
	if why := s.unfit(l.veteran); why != "" {
		l.breaks(wrongSuite, "%s", why)
		return l
	}
	for range rapid.IntRange(1, maxSteps).Draw(t, "steps") {
		l.now = l.now.Add(rapid.SampledFrom(pauses).Draw(t, "pause"))
		if l.step(t); l.broken != nil {
			break
		}
	}
	return l
}

// pauses between steps: within deadlines of minutes, and beyond memories of a day and patience of weeks.
var pauses = []time.Duration{0, time.Second, 10 * time.Minute, time.Hour, 25 * time.Hour, 15 * 24 * time.Hour}

// step does one of what can happen next.
func (l *life[S]) step(t *rapid.T) {
	steps := []string{"event"}
	if l.suite.First != nil && l.own == 0 {
		steps = append(steps, "first fact")
	}
	if len(l.events) > 0 {
		steps = append(steps, "again")
	}
	at, waits := l.deadline()
	if waits {
		steps = append(steps, "deadline")
	}
	switch rapid.SampledFrom(steps).Draw(t, "step") {
	case "first fact":
		l.fold(l.suite.First(t, l.now), "")
	case "deadline":
		if l.now.Before(at) {
			l.now = at
		}
		l.deliver(t, l.event(participant.DeadlinePassed, nil, at))
	case "event":
		typ := rapid.SampledFrom(l.suite.types()).Draw(t, "type")
		d := l.event(typ, l.suite.Events[typ](t, l.now), l.now)
		if got := event.TypeOf(d.Body); got != typ {
			l.breaks(wrongSuite, "the bodies of %s are of type %s", typ, got)
			return
		}
		l.deliver(t, d)
	case "again":
		d := rapid.SampledFrom(l.events).Draw(t, "which")
		if !d.fact || !l.suite.AskedOnce {
			l.deliver(t, d)
		}
	}
}

// deadline is the order's, which two looks at the same state must agree about.
func (l *life[S]) deadline() (at time.Time, ok bool) {
	if l.veteran.Deadline == nil {
		return time.Time{}, false
	}
	before := l.stored(l.state)
	at, ok = l.veteran.Deadline(l.state)
	again, okAgain := l.instance().Deadline(l.restored())
	if ok != okAgain || ok && !at.Equal(again) {
		l.breaks(sameAnswer, "the deadline is %s, %t, and for a new instance %s, %t", at, ok, again, okAgain)
	}
	if after := l.stored(l.state); after != before {
		l.breaks(ownFold, "Deadline changed the state from %s to %s", before, after)
	}
	return at, ok
}

func (l *life[S]) event(typ string, body proto.Message, at time.Time) *delivered {
	e := event.Event{ID: event.MakeID("event", fmt.Sprint(len(l.events))), Type: typ, Subject: orderID, Time: at}
	l.events = append(l.events, &delivered{Message: event.Message{Event: e, Body: body}})
	return l.events[len(l.events)-1]
}

// deliver asks about an event, and about all again that were answered with nothing if the answer is a fact.
func (l *life[S]) deliver(t *rapid.T, d *delivered) {
	how := rapid.SampledFrom([]string{"", "", "", "by a wrong clock", "edited"}).Draw(t, "how")
	ctx := participant.WithAttempt(context.Background(), participant.Attempt{
		Now: l.now, Edited: how == "edited", Skewed: how == "by a wrong clock",
	})
	a := l.ask(ctx, d)
	l.note("%s %s %s: %s", l.now.Format(time.RFC3339), d.Type, how, a)
	switch {
	case d.nothing && !a.nothing():
		l.breaks(staysNothing, "%s was answered with nothing, and is answered now with %s", d.Type, a)
	case d.fact && a.fact != nil:
		l.breaks(oneFact, "%s was answered with a fact before, and is answered again with %s", d.Type, a)
	case a.nothing():
		d.nothing = !d.fact
	case a.fact != nil:
		d.fact = true
		l.fold(a.fact, d.ID)
		l.askNothings(ctx)
	}
}

// askNothings asks about all again that was answered with nothing.
func (l *life[S]) askNothings(ctx context.Context) {
	for _, d := range l.events {
		if !d.nothing || l.broken != nil {
			continue
		}
		if a := l.ask(ctx, d); !a.nothing() {
			l.breaks(staysNothing, "%s was answered with nothing, and after a fact with %s", d.Type, a)
		}
	}
}

// stored is a state as the engine stores it.
func (l *life[S]) stored(state S) string {
	text, err := json.Marshal(state)
	if err != nil {
		l.breaks(ownFold, "the state cannot be stored: %v", err)
	}
	return string(text)
}

// restored is the order's state as the next owner of its task reads it.
func (l *life[S]) restored() (state S) {
	if err := json.Unmarshal([]byte(l.stored(l.state)), &state); err != nil {
		l.breaks(ownFold, "the stored state cannot be read: %v", err)
	}
	return state
}
