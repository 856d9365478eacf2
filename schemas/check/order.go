package check

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/schemas/choreography"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
)

// Order is what was read of one order.
type Order struct {
	ID string

	k        *Checker
	events   []event // of each partition in their order
	letters  []control
	requests []control
	known    *known // nil: an event has come since
}

// known is what the events say.
type known struct {
	*choreography.Story
	accepted []event // as Story has them
	facts    tally
}

// tally counts what was accepted, and keeps what the rules need.
type tally struct {
	placed, confirmed, cancelled, succeeded, declined, refunded []event

	total, charged, returned int64
	reason                   orderv1.CancellationReason
	declineReason            string
	deadline, late           time.Time                   // of the payment, and when somebody said that it is over
	mails                    map[notificationv1.Kind]int // sent or refused
}

// paymentTimeout is how payment says that it came too late.
const paymentTimeout = "payment_timeout"

func (t *tally) take(e event) {
	switch b := e.body.(type) {
	case *orderv1.OrderPlaced:
		t.placed, t.total, t.deadline = append(t.placed, e), b.GetTotal(), b.GetPaymentDeadline().AsTime()
	case *orderv1.OrderConfirmed:
		t.confirmed = append(t.confirmed, e)
	case *orderv1.OrderCancelled:
		t.cancelled = append(t.cancelled, e)
		if t.reason = b.GetReason(); t.reason == orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT {
			t.late = e.time
		}
	case *paymentv1.PaymentSucceeded:
		t.succeeded, t.charged = append(t.succeeded, e), t.charged+b.GetAmount()
	case *paymentv1.PaymentDeclined:
		t.declined = append(t.declined, e)
		if t.declineReason = b.GetReason(); t.declineReason == paymentTimeout {
			t.late = e.time
		}
	case *paymentv1.PaymentRefunded:
		t.refunded, t.returned = append(t.refunded, e), t.returned+b.GetAmount()
	case *notificationv1.NotificationSent:
		t.mails[b.GetKind()]++
	case *notificationv1.NotificationFailed:
		t.mails[b.GetKind()]++
	}
}

// know reads the events as every reader must.
func (o *Order) know() *known {
	if o.known != nil {
		return o.known
	}
	n := &known{Story: &choreography.Story{}, facts: tally{mails: map[notificationv1.Kind]int{}}}
	at := map[string]event{}
	var log []choreography.Recorded
	for _, e := range o.events {
		log = append(log, e.Recorded)
		at[e.place()] = e
	}
	if stories := o.k.choreography.Stories(log); len(stories) == 1 {
		n.Story = stories[0]
	}
	for _, r := range n.Accepted {
		e := at[place(r.Topic, r.Partition, r.Offset)]
		n.accepted = append(n.accepted, e)
		n.facts.take(e)
	}
	o.known = n
	return n
}

func first(events []event) (e event) {
	if len(events) > 0 {
		e = events[0]
	}
	return e
}

// Settled is true once the order is confirmed, or cancelled with its payment declined or refunded; took is how long
// that was after it was placed.
func (o *Order) Settled() (took time.Duration, ok bool) {
	f := o.know().facts
	unanswered := len(f.cancelled) > 0 && len(f.declined)+len(f.refunded) == 0
	if len(f.placed) == 0 || len(f.cancelled)+len(f.confirmed) == 0 || unanswered {
		return 0, false
	}
	at := first(f.confirmed).time
	if len(f.confirmed) == 0 {
		at = first(f.cancelled).time
		for _, e := range slices.Concat(f.declined, f.refunded) {
			if e.time.After(at) {
				at = e.time
			}
		}
	}
	return at.Sub(f.placed[0].time), true
}

// Copies counts the records that say again what was said before.
func (o *Order) Copies() int { return len(o.events) - len(o.know().accepted) - len(o.know().Void) }

// atRest says what is wrong, by the log alone, with an order to which nothing is added any more.
func (o *Order) atRest(parked bool) []Violation {
	n := o.know()
	var found []Violation
	for _, text := range n.Violations {
		found = append(found, step.violation(o.ID, "%s", text))
	}
	found = append(found, o.sequence()...)
	for kind, count := range n.facts.mails {
		if count > 1 {
			found = append(found, toldTwice.violation(o.ID, "its customer was told %s %d times, not 1", kind, count))
		}
	}
	for _, text := range n.Uncaused {
		found = append(found, uncaused.violation(o.ID, "%s", text))
	}
	for _, text := range n.Unsettled {
		if !parked {
			found = append(found, unsettled.violation(o.ID, "%s", text))
		}
	}
	return append(found, n.facts.steps(o.ID)...)
}

// sequence checks that the events lie as they happened: no fact before the one that it follows, no gap, nothing decided
// before its cause was. Facts that no reader takes are looked at too: they also were decided by somebody.
func (o *Order) sequence() (found []Violation) {
	type name struct{ topic, id string }
	lies, passed, cause := map[name]bool{}, map[name]bool{}, map[string]event{}
	for _, e := range o.events {
		lies[name{e.Topic, e.ID}] = true
		if _, copied := cause[e.ID]; !copied {
			cause[e.ID] = e
		}
	}
	for _, e := range o.events {
		passed[name{e.Topic, e.ID}] = true
		switch before := (name{e.Topic, e.PreviousID}); {
		case e.PreviousID == "" || passed[before]:
		case lies[before]:
			found = append(found, swapped.violation(o.ID, "%s lies before %s, which it follows", e, e.PreviousID))
		default:
			found = append(found, gap.violation(o.ID, "%s follows %s, which is not in the log", e, e.PreviousID))
		}
		if c, known := cause[e.CausationID]; known && e.time.Before(c.time) {
			found = append(found, hurried.violation(o.ID, "%s was decided %s before its cause", e, c.time.Sub(e.time)))
		}
	}
	return found
}

// steps checks what happened more than once, too soon, or for another reason than is told.
func (t tally) steps(id string) (found []Violation) {
	for _, s := range []struct {
		name   string
		events []event
		rule   Rule
	}{
		{"placed", t.placed, repeated}, {"confirmed", t.confirmed, repeated}, {"cancelled", t.cancelled, repeated},
		{"charged", t.succeeded, paidTwice}, {"declined", t.declined, repeated}, {"refunded", t.refunded, givenTwice},
	} {
		if n := len(s.events); n > 1 {
			found = append(found, s.rule.violation(id, "was %s %d times", s.name, n))
		}
	}
	declined := orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED
	if t.reason == declined && t.declineReason == paymentTimeout {
		found = append(found, wrongWhy.violation(id, "is cancelled for %s, and its payment was declined for %s",
			t.reason, t.declineReason))
	}
	if !t.late.IsZero() && len(t.placed) > 0 && t.late.Before(t.deadline) {
		found = append(found, early.violation(id, "its payment was given up at %s, before its deadline at %s",
			t.late, t.deadline))
	}
	return found
}

// tell writes what the log holds about the order, every record in the order of its time.
func (o *Order) tell(w io.Writer) {
	of := slices.Clone(o.events)
	slices.SortStableFunc(of, func(a, b event) int { return a.time.Compare(b.time) })
	for _, e := range of {
		at := e.time.Format(time.StampMicro)
		fmt.Fprintf(w, "  %s %s, sequence %d after %q, caused by %q\n", at, e, e.Sequence, e.PreviousID, e.CausationID)
	}
	for _, l := range o.letters {
		fmt.Fprintf(w, "  %s: %s of %s: %s\n", l.place, l.kind(), l.of(), l.headers["__dlq.errors.message"])
	}
}
