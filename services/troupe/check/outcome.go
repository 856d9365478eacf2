package check

import (
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
)

// outcome checks that an order came to the end that its customer was promised, each step once.
func (l *Log) outcome(r *Report, e Expected) {
	f := l.facts(e.ID)
	if f.placed != 1 {
		r.violation("order %s was answered with 202 and is in the log %d times", e.ID, f.placed)
		return
	}
	for name, n := range map[string]int{
		"confirmed": f.confirmed, "cancelled": f.cancelled, "charged": f.succeeded, "declined": f.declined, "refunded": f.refunded,
	} {
		if n > 1 {
			r.violation("order %s was %s %d times", e.ID, name, n)
		}
	}
	switch {
	case f.cancelled > 0:
		r.Cancelled++
		if f.succeeded != f.refunded {
			r.violation("order %s is cancelled with %d charges and %d refunds", e.ID, f.succeeded, f.refunded)
		}
		if f.succeeded+f.declined != 1 {
			r.violation("order %s is cancelled with %d answers to the payment", e.ID, f.succeeded+f.declined)
		}
	case f.confirmed > 0:
		r.Confirmed++
		if f.succeeded != 1 || f.refunded != 0 {
			r.violation("order %s is confirmed with %d charges and %d refunds", e.ID, f.succeeded, f.refunded)
		}
	default:
		r.violation("order %s is neither confirmed nor cancelled", e.ID)
	}
	// A payment that came too late may cancel any order.
	late := f.reason == orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT
	switch {
	case e.CancelAsked && f.cancelled == 0:
		r.violation("order %s is not cancelled, though that was promised", e.ID)
	case e.Declined && (f.succeeded > 0 || f.cancelled == 0):
		r.violation("order %s has a declined card and is not cancelled without a charge", e.ID)
	case !e.Declined && !e.CancelAsked && !late && f.confirmed == 0:
		r.violation("order %s has a good card and is not confirmed: %s %s", e.ID, f.reason, f.declineReason)
	}
	if f.succeeded > 0 && f.charged != e.Total {
		r.violation("order %s over %d was charged %d", e.ID, e.Total, f.charged)
	}
	if f.refunded > 0 && f.returned != e.Total {
		r.violation("order %s over %d was refunded %d", e.ID, e.Total, f.returned)
	}
	for kind, want := range map[notificationv1.Kind]int{
		notificationv1.Kind_KIND_CONFIRMED: f.confirmed, notificationv1.Kind_KIND_CANCELLED: f.cancelled,
		notificationv1.Kind_KIND_REFUNDED: f.refunded,
	} {
		if got := f.mails[kind]; got != want {
			r.violation("order %s: its customer was told %s %d times, not %d", e.ID, kind, got, want)
		}
	}
}
