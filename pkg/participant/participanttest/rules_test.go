package participanttest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("rapid.nofailfile", "true") // mutants are meant to fail
	os.Exit(m.Run())
}

// A library lends one book: a card is asked for, then a loan, which ends by itself.
type shelf struct {
	Card  bool
	Until time.Time
	Lent  []string // until when
	known string   // never stored
}

// The events of the library are wrapped values, so that no generated code is needed.
var (
	cardAsked = event.TypeOf(&wrapperspb.BoolValue{})
	loanAsked = event.TypeOf(&wrapperspb.Int64Value{}) // until, in Unix seconds
)

func cardGiven() proto.Message      { return wrapperspb.Bytes([]byte("card")) }
func lent(how string) proto.Message { return wrapperspb.String(how) }
func until(m event.Message) time.Time {
	return time.Unix(m.Body.(*wrapperspb.Int64Value).GetValue(), 0)
}
func given(m event.Message) (how string) { return m.Body.(*wrapperspb.StringValue).GetValue() }

// library is sound; a mutant is one with one of its functions replaced.
type library struct {
	react  func(context.Context, shelf, event.Message) (proto.Message, error)
	evolve func(shelf, event.Message) shelf
	// deadline of a card that nobody borrows with
	deadline func(shelf) (time.Time, bool)
}

func sound() library {
	return library{
		react: func(ctx context.Context, s shelf, m event.Message) (proto.Message, error) {
			switch {
			case m.Type == participant.DeadlinePassed && len(s.Lent) == 0:
				return lent("not at all"), nil
			case m.Type == cardAsked && !s.Card:
				return cardGiven(), nil
			case m.Type == cardAsked, m.Type == participant.DeadlinePassed:
				return participant.Nothing, nil
			case !s.Card:
				return nil, fault.New(fault.NotYet, "no card yet")
			case len(s.Lent) > 0:
				return participant.Nothing, nil
			}
			return lent(fmt.Sprint(m.ID, participant.Now(ctx).After(until(m)))), nil
		},
		evolve: func(s shelf, m event.Message) shelf {
			if m.Type == event.TypeOf(cardGiven()) {
				s.Card, s.Until = true, m.Time.AddDate(0, 0, 30)
				return s
			}
			s.Lent = append(slices.Clone(s.Lent), given(m))
			return s
		},
		deadline: func(s shelf) (time.Time, bool) { return s.Until, s.Card && len(s.Lent) == 0 },
	}
}

// suiteOf is the library's, with a mutation of each instance.
func suiteOf(mutate func(*library)) Suite[shelf] {
	return Suite[shelf]{
		Instances: func(*rapid.T) func() participant.Behavior[shelf] {
			return func() participant.Behavior[shelf] {
				l := sound()
				mutate(&l)
				return participant.Behavior[shelf]{
					Name: "library", React: l.react, Evolve: l.evolve,
					Subscribes: []participant.Subscription{{Topic: "desk.events.v1", Types: []string{cardAsked, loanAsked}}},
					Deadline:   l.deadline,
				}
			}
		},
		Events: map[string]Bodies{
			cardAsked: func(*rapid.T, time.Time) proto.Message { return wrapperspb.Bool(true) },
			loanAsked: func(_ *rapid.T, at time.Time) proto.Message { return wrapperspb.Int64(at.Add(time.Hour).Unix()) },
		},
	}
}

func TestASoundBehaviorKeepsTheRules(t *testing.T) { Rules(t, suiteOf(func(*library) {})) }

// Each mutant breaks one rule, in one of the ways in which people do, and the suite names that rule.
func TestEachRuleHasMutantsThatBreakIt(t *testing.T) {
	for name, mutant := range map[string]struct {
		rule   string
		mutate func(*library)
	}{
		"answers again": {oneFact, func(l *library) {
			l.react = unless(l.react, func(s shelf, m event.Message) bool { return m.Type == cardAsked && s.Card }, cardGiven(), nil)
		}},
		"a fact and an error": {oneFact, func(l *library) {
			l.react = unless(l.react, func(s shelf, m event.Message) bool { return m.Type == cardAsked && !s.Card }, cardGiven(),
				errors.New("and yet"))
		}},
		"a nil pointer for nothing": {oneFact, func(l *library) {
			l.react = unless(l.react, func(s shelf, m event.Message) bool { return m.Type == cardAsked && s.Card },
				(*wrapperspb.BytesValue)(nil), nil)
		}},
		"React changes the state": {ownFold, func(l *library) {
			sound := l.react
			l.react = func(ctx context.Context, s shelf, m event.Message) (proto.Message, error) {
				if len(s.Lent) > 0 {
					s.Lent[0] = "seen " + m.ID
				}
				return sound(ctx, s, m)
			}
		}},
		"Evolve changes its argument": {ownFold, func(l *library) {
			sound := l.evolve
			l.evolve = func(s shelf, m event.Message) shelf {
				if len(s.Lent) > 0 {
					s.Lent[0] = "renewed"
				}
				return sound(s, m)
			}
			l.react = lendsAgain(l.react)
		}},
		"Evolve remembers": {ownFold, func(l *library) {
			sound, n := l.evolve, 0
			l.evolve = func(s shelf, m event.Message) shelf {
				if n++; n > 1 {
					s.Lent = append(slices.Clone(s.Lent), "more than one")
				}
				return sound(s, m)
			}
		}},
		"state that is not stored": {ownFold, func(l *library) {
			l.evolve = func(s shelf, m event.Message) shelf {
				if m.Type == event.TypeOf(cardGiven()) {
					return shelf{Card: true, known: "by sight"}
				}
				s.Lent = append(slices.Clone(s.Lent), s.known+given(m))
				return s
			}
		}},
		"an id of its own": {sameAnswer, func(l *library) {
			l.react = lends(l.react, func(event.Message) string { return fmt.Sprint("loan ", rand()) })
		}},
		"the wall clock": {sameAnswer, func(l *library) {
			l.react = lends(l.react, func(m event.Message) string { return fmt.Sprint(time.Now().After(until(m))) })
		}},
		"a deadline of the wall clock": {sameAnswer, func(l *library) {
			l.deadline = func(s shelf) (time.Time, bool) { return time.Now().Add(time.Hour), s.Card }
		}},
		"Deadline changes the state": {ownFold, func(l *library) {
			l.deadline = func(s shelf) (time.Time, bool) {
				if len(s.Lent) > 0 {
					s.Lent[0] = "overdue"
				}
				return time.Time{}, false
			}
		}},
		"too early is nothing": {staysNothing, func(l *library) {
			l.react = unless(l.react, func(s shelf, m event.Message) bool { return m.Type == loanAsked && !s.Card }, participant.Nothing, nil)
		}},
		"waits for what it has seen": {notYetByState, func(l *library) {
			sound, seen := l.react, false
			l.react = func(ctx context.Context, s shelf, m event.Message) (proto.Message, error) {
				seen = seen || m.Type == cardAsked
				if m.Type == loanAsked && !seen {
					return nil, fault.New(fault.NotYet, "nobody has asked for a card")
				}
				return sound(ctx, s, m)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := suiteOf(mutant.mutate)
			s.AskedOnce = mutant.rule != oneFact // some lend more than one book, to have more than one fact
			got := reportOf(t, s)
			if !strings.Contains(got, mutant.rule) {
				t.Errorf("reported %q, not that it breaks %q", got, mutant.rule)
			}
		})
	}
}

// What a suite forgets is not tried, so it is refused.
func TestASuiteNamesWhatItForgets(t *testing.T) {
	s := suiteOf(func(*library) {})
	delete(s.Events, loanAsked)
	if got := reportOf(t, s); !strings.Contains(got, "no bodies of "+loanAsked) {
		t.Errorf("reported %q", got)
	}
	s.Events["other.Event"], s.Events[loanAsked] = s.Events[cardAsked], s.Events[cardAsked]
	if got := reportOf(t, s); !strings.Contains(got, "bodies of other.Event, which it does not subscribe to") {
		t.Errorf("reported %q", got)
	}
	delete(s.Events, "other.Event")
	if got := reportOf(t, suiteOf(func(l *library) {
		l.react = unless(l.react, func(_ shelf, m event.Message) bool { return m.Type == loanAsked }, nil, fault.New(fault.Unavailable, "down"))
	})); !strings.Contains(got, "no "+loanAsked+" was answered") {
		t.Errorf("reported %q", got)
	}
	if got := reportOf(t, s); !strings.Contains(got, "the bodies of "+loanAsked+" are of type "+cardAsked) {
		t.Errorf("reported %q", got)
	}
}

// A Behavior that counts on the engine's idempotency keys says so.
func TestAskedOnce(t *testing.T) {
	s := suiteOf(func(l *library) { l.react = lendsAgain(l.react) })
	if got := reportOf(t, s); !strings.Contains(got, oneFact) {
		t.Errorf("reported %q", got)
	}
	s.AskedOnce = true
	Rules(t, s)
}

type reactFunc = func(context.Context, shelf, event.Message) (proto.Message, error)

// unless answers with fact and err where a condition holds.
func unless(sound reactFunc, cond func(shelf, event.Message) bool, fact proto.Message, err error) reactFunc {
	return func(ctx context.Context, s shelf, m event.Message) (proto.Message, error) {
		if cond(s, m) {
			return fact, err
		}
		return sound(ctx, s, m)
	}
}

// lends says in its own way how a loan is given.
func lends(sound reactFunc, how func(event.Message) string) reactFunc {
	return func(ctx context.Context, s shelf, m event.Message) (proto.Message, error) {
		fact, err := sound(ctx, s, m)
		if m.Type == loanAsked && fact != nil {
			return lent(how(m)), nil
		}
		return fact, err
	}
}

// lendsAgain lends another book for every loan that is asked for, asked before or not.
func lendsAgain(sound reactFunc) reactFunc {
	return func(ctx context.Context, s shelf, m event.Message) (proto.Message, error) {
		s.Lent = nil
		return sound(ctx, s, m)
	}
}

var made int

// rand is another number each time.
func rand() int { made++; return made }

// recorder is a TB that keeps what is reported.
type recorder struct {
	rapid.TB
	reported strings.Builder
	failed   bool
}

func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Failed() bool        { return r.failed }
func (r *recorder) FailNow()            { r.failed = true; runtime.Goexit() }
func (r *recorder) Fail()               { r.failed = true }

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	fmt.Fprintf(&r.reported, format, args...)
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

// reportOf runs the suite and returns what it reports.
func reportOf(t *testing.T, s Suite[shelf]) string {
	t.Helper()
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rules(t, r, s)
	}()
	<-ended
	return r.reported.String()
}
