package participant

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/proto"
)

// DeadlinePassed is the type of the local event that React gets when an order's Deadline has passed. It has no body;
// its Time is the deadline.
const DeadlinePassed = "troupe.local.DeadlinePassed"

// Subscription names a topic that a participant listens to and the types it reacts to there. Events of other types are
// answered with nothing, undecoded.
type Subscription struct {
	Topic string
	Types []string
}

// Nothing is React's answer to an event that needs none, in this state and in every later one: the event is answered
// for ever, with no fact. It is nil, so an error goes with nil, and Nothing with no error.
var Nothing proto.Message

// Behavior is what a participant does, and all of it. S is the state of one order, a fold of this participant's own
// facts; its zero value is the state before the first. S is stored as JSON.
//
// Five rules make the guarantees possible; package participanttest holds a Behavior against them: at most one fact per
// event answered; state is a fold of own facts alone; the same input gives the same answer (time only from Now(ctx)
// and the event, ids only from the event); an event answered with Nothing in some state is answered with Nothing in
// every later one; fault.NotYet is said from own state only.
type Behavior[S any] struct {
	// Name of the participant: its consumer group, and the prefix of its topics and keys.
	Name string
	// FoldVersion must be raised whenever Evolve or S changes meaning: every order is then folded again from the log.
	FoldVersion int
	// Subscribes is what it listens to. Its own topic may be among them (when a door publishes there).
	Subscribes []Subscription
	// React answers an event with one fact, or with Nothing, or with an error whose class decides between retrying,
	// holding and parking. It may ask an outside door, with m.ID as the idempotency key there; it runs concurrently for
	// different orders and one at a time for one order. ctx ends when the instance leaves.
	React func(ctx context.Context, state S, m event.Message) (proto.Message, error)
	// Evolve returns the state after a fact of its own. Pure; called for facts just decided and for facts read back from
	// the log.
	Evolve func(state S, fact event.Message) S
	// Deadline returns when this order has waited long enough; ok is false when it waits for nothing. Pure. Nil: no
	// deadlines.
	Deadline func(state S) (at time.Time, ok bool)
}

// FactsTopic is the topic of a participant's facts. Only its tasks write there, and package admission for it: a secured
// broker enforces that by the rules that schemas/choreography makes (access.go); what an unsecured one lets in is found
// by the chains.
func FactsTopic(name string) string { return name + ".events.v1" }

// DeadLettersTopic is the topic of what a participant parked. Only it writes there.
func DeadLettersTopic(name string) string { return deadletter.Topic(name) }

// Attempt is what React learns of its call beside the event, by Now, Edited and Skewed.
type Attempt struct {
	// Now is the moment at which React is said to run. Zero: the present.
	Now time.Time
	// Edited: the event has another payload than it came with.
	Edited bool
	// Skewed: this machine's clock cannot be believed.
	Skewed bool
}

// attempt is the context of one call of React.
type attempt struct {
	context.Context
	Attempt
}

type attemptKey struct{}

// Value implements context.Context.
func (a *attempt) Value(key any) any {
	if key == (attemptKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// attemptOf is the innermost attempt in a context, or an empty one.
func attemptOf(ctx context.Context) Attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a.Attempt
	}
	return Attempt{}
}

// WithAttempt returns the context of a call of React, instead of what ctx says of one; the cycle makes it for each
// attempt, tests where React asks.
func WithAttempt(ctx context.Context, a Attempt) context.Context { return &attempt{ctx, a} }

// Now is the moment of this attempt. React takes the time from here only.
func Now(ctx context.Context) time.Time {
	if now := attemptOf(ctx).Now; !now.IsZero() {
		return now
	}
	return time.Now()
}

// Skewed reports whether Now cannot be believed: React must decide nothing by it that cannot be taken back.
func Skewed(ctx context.Context) bool { return attemptOf(ctx).Skewed }

// Edited reports whether an operator replaced the event's payload: a door may have heard other parameters under the
// same idempotency key, so what exists there must be looked up first.
func Edited(ctx context.Context) bool { return attemptOf(ctx).Edited }
