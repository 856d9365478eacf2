// Package participanttest holds a Behavior against its five rules (participant.Behavior, docs/protocol.md), on which
// all that the engine promises stands.
//
// A test of a participant gives a Suite its events and a maker of instances; Rules then plays drawn lives of one order:
// events in any order and again, its deadline, retries, hours and weeks between them, a clock that is wrong, doors that
// fail. It asks each question twice: the instance that has lived all of it, and a new one which knows only the stored
// state.
//
//   - rules.go: Suite and Rules
//   - life.go: one life of an order
//   - ask.go: one question and one fact, each put to both instances
package participanttest

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// The five rules, as they stand in the reports of Rules.
const (
	oneFact       = "at most one fact per event answered"
	ownFold       = "state is a fold of own facts alone"
	sameAnswer    = "the same input gives the same answer"
	staysNothing  = "nothing stays nothing"
	notYetByState = "not yet is said from own state only"
	wrongSuite    = "the suite does not fit its Behavior"
)

// Bodies makes the body of an event that happens at a moment. Two calls may make two events of one order.
type Bodies func(t *rapid.T, at time.Time) proto.Message

// Suite is a Behavior and what it takes to try it. S is the state of one order.
type Suite[S any] struct {
	// Instances is called once for each life, and returns what makes an instance of the participant. Fakes of doors
	// outside are shared by the instances of a life. They draw their answers from t and keep each by the id of its
	// event, as what is behind a door with idempotency keys does; they may fail whenever they like. Required.
	Instances func(t *rapid.T) func() participant.Behavior[S]
	// Events makes the bodies of the types that the Behavior subscribes to. Required for all of them.
	Events map[string]Bodies
	// First makes the order's first fact where a door publishes it (an order is placed over HTTP). Nil: React answers
	// with every fact.
	First Bodies
	// AskedOnce: the Behavior leaves it to the engine that an event is not asked about again once a fact answers it.
	// Otherwise it must answer Nothing then.
	AskedOnce bool
}

// Rules fails t unless a Behavior keeps the five rules in any life of an order. It reports the rule and the shortest
// life that breaks it; rapid's flags (-rapid.checks, -rapid.seed) hold.
func Rules[S any](t *testing.T, s Suite[S]) {
	t.Helper()
	rules(t, t, s)
}

// rules reports to a TB of its own, so that the suite's tests can see it fail.
func rules[S any](t *testing.T, report rapid.TB, s Suite[S]) {
	report.Helper()
	rapid.Check(report, func(rt *rapid.T) {
		if l := s.live(rt); l.broken != nil {
			rt.Fatalf("%v, after\n%s", l.broken, l)
		}
	})
	answered := map[string]bool{}
	for seed := range replays {
		now, later := s.replay(t, seed, 0), s.replay(t, seed, 90*365*24*time.Hour)
		if now.String() != later.String() {
			report.Fatalf("%s: with the same participant.Now and another wall clock the same life goes\n%snot\n%s",
				sameAnswer, later, now)
		}
		for _, d := range now.events {
			answered[d.Type] = answered[d.Type] || d.nothing || d.fact
		}
	}
	for _, typ := range s.types() {
		if !answered[typ] {
			report.Fatalf("%s: in %d lives no %s was answered: is First missing, or does a fake only fail?",
				wrongSuite, replays, typ)
		}
	}
}

// replays is how many lives are lived once more on a wall clock 90 years later.
const replays = 100

// replay lives the life of a seed in a bubble whose clock is ahead by so much of where bubbles begin, the year 2000.
func (s Suite[S]) replay(t *testing.T, seed int, ahead time.Duration) (l *life[S]) {
	lives := rapid.Custom(s.live)
	synctest.Test(t, func(*testing.T) {
		time.Sleep(ahead) // on the clock of the bubble
		l = lives.Example(seed)
	})
	return l
}

// unfit returns why a Behavior cannot be tried with the suite's events, or "".
func (s Suite[S]) unfit(b participant.Behavior[S]) string {
	subscribed := map[string]bool{}
	for _, h := range b.Subscribes {
		for _, typ := range h.Types {
			subscribed[typ] = true
			if s.Events[typ] == nil {
				return "no bodies of " + typ + ", which it subscribes to"
			}
		}
	}
	for _, typ := range s.types() {
		if !subscribed[typ] {
			return "bodies of " + typ + ", which it does not subscribe to"
		}
	}
	return ""
}

// types of the suite's events, sorted: what is drawn must not depend on a map's order.
func (s Suite[S]) types() []string { return slices.Sorted(maps.Keys(s.Events)) }
