package participant

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
)

// order is what a task knows of one order. It lives in memory while something is under way and is loaded from Redis
// otherwise.
type order struct {
	orders.Order
	state any   // its State, decoded
	queue queue // its events, one at a time
	entry int64 // number of its latest outbox entry
	bytes int   // it has as it is stored

	touched  bool // the next change looks at it
	runnable bool // it is in partition.runnable
	inParked bool // it was written last where nothing expires: orders.KeyParked
}

func newOrder(id string, zero any) *order {
	o := &order{state: zero}
	o.ID = id
	return o
}

// queue holds the events of one order: one is decided at a time. A held event holds back its own topic only.
type queue struct {
	list    []*delivery     // in order of arrival; per topic in log order
	running *delivery       // with React
	storing bool            // an answer waits for its change: what follows must rest on it (ADR 2)
	reading bool            // its chain, or the event of a dead letter, is read back
	held    map[string]bool // topics; nil: none
	retryAt time.Time       // end of the back-off; zero: it does not wait
	waiting bool            // for something unavailable
}

// busy says that the first delivery is being decided.
func (q *queue) busy() bool { return q.running != nil || q.storing || q.reading }

func (q *queue) empty() bool { return len(q.list) == 0 && !q.busy() }

// next returns the first delivery that is not behind a held one of its topic; of a stopped partition, the first
// request.
func (q *queue) next(stopped bool) *delivery {
	for _, d := range q.list {
		if !q.held[d.topic()] && (!stopped || d.asks != nil) {
			return d
		}
	}
	return nil
}

func (q *queue) remove(d *delivery) {
	if i := slices.Index(q.list, d); i >= 0 {
		q.list = slices.Delete(q.list, i, i+1)
	}
}

// judge places an event that arrived from a topic in its chain.
func (o *order) judge(topic string, e event.Event) chain.Verdict {
	return o.Head(topic).Judge(orders.LinkOf(e), o.Saw(e.ID) || o.Waits(e.ID))
}

// accept remembers that what was delivered is accepted: answered, parked or found a duplicate.
func (o *order) accept(d *delivery) { o.Accept(d.topic(), d.ev, d.in != nil && d.in.FromStart) }

// evolve folds one fact of the own topic into the state and moves the decided head. offset of the fact in its topic,
// -1: it is in none yet.
func (o *order) evolve(b *behavior, fact event.Message, offset int64) error {
	if fact.Body != nil {
		state, text, err := b.evolved(o.state, fact)
		if err != nil {
			return fault.New(fault.Permanent, "order %s after %s: %w", o.ID, fact.Type, err)
		}
		o.state, o.State = state, text
	}
	o.Decide(chain.Head{Sequence: fact.Sequence, ID: fact.ID})
	if o.Trace == "" && fact.TraceParent != "" {
		o.Trace = strings.Clone(fact.TraceParent)
	}
	if fact.Sequence == 1 && offset >= 0 {
		o.AfterFirst = offset + 1
	}
	o.Changed = true
	return nil
}

// behindUnfolded says that the fact before this one in the own topic is a dead letter that the state lacks: Evolve
// could not take it.
func (o *order) behindUnfolded(fact event.Event) bool {
	return fact.PreviousID != o.Own().ID && o.Waits(fact.PreviousID)
}

// wakeAt is when the order is looked at although nothing of it arrives: one with dead letters when they are retried,
// another at its deadline; ok is false when it is not.
func (o *order) wakeAt(b *behavior) (at time.Time, ok bool) {
	if len(o.Parked) > 0 {
		return o.RetryAt(), !o.RetryAt().IsZero()
	}
	at, ok = b.deadline(o.state)
	return at, ok && !o.Saw(deadlineID(o.ID, at))
}

// idle says that nothing of this order is under way, so that it may leave memory.
func (o *order) idle(settled int64) bool {
	return o.entry <= settled && !o.touched && !o.runnable && o.queue.empty()
}

// deadlineID names the local event of a deadline.
func deadlineID(orderID string, at time.Time) string {
	return event.MakeID(orderID, "deadline", at.UTC().Format(time.RFC3339Nano))
}

// retryID names the try of an order's dead letters at a time.
func retryID(orderID string, at time.Time) string {
	return event.MakeID(orderID, "retry", at.UTC().Format(time.RFC3339Nano))
}
