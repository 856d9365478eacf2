package participant

import (
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
	lane  lane  // its events, one at a time
	entry int64 // number of its latest outbox entry

	touched bool // the next change looks at it
	kept    bool // it was written last where nothing expires: see kept.go
}

func newOrder(id string, zero any) *order { return &order{Order: orders.New(id), state: zero} }

// judge places an event that arrived from a topic in its chain.
func (o *order) judge(topic string, e event.Event) chain.Verdict {
	return o.Head(topic).Judge(orders.LinkOf(e), o.Saw(e.ID) || o.Waits(e.ID))
}

// moved remembers that what was delivered is accepted: answered, parked or found a duplicate.
func (o *order) moved(d *delivery) { o.Accept(d.topic(), d.ev, d.src != nil && d.src.FromStart) }

// evolve folds one fact of the own topic into the state and moves the decided head.
func (o *order) evolve(b *behavior, fact event.Message, offset int64) error {
	if fact.Body != nil {
		state, text, err := b.evolved(o.state, fact)
		if err != nil {
			return fault.New(fault.Permanent, "order %s after %s: %w", o.ID, fact.Type, err)
		}
		o.state, o.State = state, text
	}
	o.Own = chain.Head{Sequence: fact.Sequence, ID: strings.Clone(fact.ID)}
	if o.Trace == "" && fact.TraceParent != "" {
		o.Trace = strings.Clone(fact.TraceParent)
	}
	if fact.Sequence == 1 && offset >= 0 {
		o.First = offset
	}
	o.Changed = true
	return nil
}

// idle says that nothing of this order is under way, so that it may leave memory.
func (o *order) idle(settled int64) bool {
	return o.entry <= settled && !o.touched && o.lane.empty()
}

// deadlineID names the local event of a deadline.
func deadlineID(orderID string, at time.Time) string {
	return event.MakeID(orderID, "deadline", at.UTC().Format(time.RFC3339Nano))
}
