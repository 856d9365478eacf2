package check

import (
	"time"

	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
)

// facts counts what was accepted of an order, and keeps what the other checks need.
type facts struct {
	placed, confirmed, cancelled, succeeded, declined, refunded int
	reason                                                      orderv1.CancellationReason
	declineReason                                               string
	charged, returned                                           int64
	deadline, late                                              time.Time                   // of the payment, and when somebody said that it is over
	mails                                                       map[notificationv1.Kind]int // sent or refused
}

func (l *log) facts(order string) facts {
	f := facts{mails: map[notificationv1.Kind]int{}}
	for _, m := range l.Accepted[order] {
		switch b := m.Body.(type) {
		case *orderv1.OrderPlaced:
			f.placed++
			f.deadline = b.GetPaymentDeadline().AsTime()
		case *orderv1.OrderConfirmed:
			f.confirmed++
		case *orderv1.OrderCancelled:
			f.cancelled++
			if f.reason = b.GetReason(); f.reason == orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT {
				f.late = m.Time
			}
		case *paymentv1.PaymentSucceeded:
			f.succeeded++
			f.charged += b.GetAmount()
		case *paymentv1.PaymentDeclined:
			f.declined++
			if f.declineReason = b.GetReason(); f.declineReason == "payment_timeout" {
				f.late = m.Time
			}
		case *paymentv1.PaymentRefunded:
			f.refunded++
			f.returned += b.GetAmount()
		case *notificationv1.NotificationSent:
			f.mails[b.GetKind()]++
		case *notificationv1.NotificationFailed:
			f.mails[b.GetKind()]++
		}
	}
	return f
}

// outcome checks that an order came to the end that its customer was promised, each step once.
func (l *log) outcome(r *Report, e Expected) {
	f := l.facts(e.ID)
	if f.placed == 0 {
		r.Violation(Lost, e.ID, "was answered with 202 and is in the log 0 times")
		return
	}
	for _, step := range []struct {
		name string
		n    int
		g    Guarantee
	}{
		{"placed", f.placed, Choreography}, {"confirmed", f.confirmed, Choreography}, {"cancelled", f.cancelled, Choreography},
		{"charged", f.succeeded, ChargedTwice}, {"declined", f.declined, Choreography}, {"refunded", f.refunded, RefundedTwice},
	} {
		if step.n > 1 {
			r.Violation(step.g, e.ID, "was %s %d times", step.name, step.n)
		}
	}
	declined := orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED
	if f.reason == declined && f.declineReason == "payment_timeout" {
		r.Violation(Choreography, e.ID, "is cancelled for %s, and its payment was declined for %s", f.reason, f.declineReason)
	}
	l.end(r, e, f)
	if f.succeeded > 0 && f.charged != e.Total*int64(f.succeeded) {
		r.Violation(Choreography, e.ID, "over %d was charged %d", e.Total, f.charged)
	}
	if f.refunded > 0 && f.returned != e.Total*int64(f.refunded) {
		r.Violation(Choreography, e.ID, "over %d was refunded %d", e.Total, f.returned)
	}
	for kind, want := range map[notificationv1.Kind]int{
		notificationv1.Kind_KIND_CONFIRMED: f.confirmed, notificationv1.Kind_KIND_CANCELLED: f.cancelled,
		notificationv1.Kind_KIND_REFUNDED: f.refunded,
	} {
		switch got := f.mails[kind]; {
		case got > want:
			r.Violation(MailedTwice, e.ID, "its customer was told %s %d times, not %d", kind, got, want)
		case got < want:
			r.Violation(Lost, e.ID, "its customer was told %s %d times, not %d", kind, got, want)
		}
	}
}

// settleTime is from placed until confirmed for the first time, or cancelled with the payment declined or refunded.
func (l *log) settleTime(order string) (time.Duration, bool) {
	var placed, confirmed, cancelled, answered time.Time
	for _, m := range l.Accepted[order] {
		switch m.Body.(type) {
		case *orderv1.OrderPlaced:
			placed = m.Time
		case *orderv1.OrderConfirmed:
			confirmed = m.Time
		case *orderv1.OrderCancelled:
			cancelled = m.Time
		case *paymentv1.PaymentDeclined, *paymentv1.PaymentRefunded:
			answered = m.Time
		}
	}
	switch {
	case placed.IsZero():
		return 0, false
	case !confirmed.IsZero():
		return confirmed.Sub(placed), true
	case cancelled.IsZero() || answered.IsZero():
		return 0, false
	case answered.After(cancelled):
		return answered.Sub(placed), true
	}
	return cancelled.Sub(placed), true
}

// end checks how an order ended against what was promised.
func (l *log) end(r *Report, e Expected, f facts) {
	late := f.cancelled > 0 && !f.late.IsZero() // a payment that came too late may cancel any order
	if !f.late.IsZero() && f.late.Before(f.deadline) {
		r.Violation(Misordered, e.ID, "its payment was given up at %s, before its deadline at %s", f.late, f.deadline)
	}
	switch {
	case f.cancelled > 0:
		r.Cancelled++
		if late {
			r.TimedOut++
		}
		if f.succeeded > f.refunded {
			r.Violation(Lost, e.ID, "is cancelled with %d charges and %d refunds", f.succeeded, f.refunded)
		}
		if f.succeeded+f.declined != 1 {
			r.Violation(Choreography, e.ID, "is cancelled with %d answers to the payment", f.succeeded+f.declined)
		}
	case f.confirmed > 0:
		r.Confirmed++
		if f.succeeded == 0 || f.refunded > 0 {
			r.Violation(Choreography, e.ID, "is confirmed with %d charges and %d refunds", f.succeeded, f.refunded)
		}
	default:
		r.Violation(Stuck, e.ID, "is neither confirmed nor cancelled")
		return
	}
	switch {
	case e.CancelAsked && f.cancelled == 0:
		r.Violation(Lost, e.ID, "is not cancelled, though that was promised")
	case e.Declined && (f.succeeded > 0 || f.cancelled == 0):
		r.Violation(Choreography, e.ID, "has a declined card and is not cancelled without a charge")
	case !e.Declined && !e.CancelAsked && !late && f.confirmed == 0:
		r.Violation(Choreography, e.ID, "has a good card and is not confirmed: %s %s", f.reason, f.declineReason)
	}
}
