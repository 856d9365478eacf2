package check

import (
	"slices"
	"strings"
	"time"

	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
)

// Expected is what a customer was promised: an order answered with 202.
type Expected struct {
	ID string
	// Total in minor units.
	Total    int64
	Currency string
	// Email is where the order's mails go; empty: not looked at.
	Email string
	// Declined: the payment method is one that the gateway declines.
	Declined bool
	// CancelAsked: a cancellation was answered with 202.
	CancelAsked bool
}

// Evidence is what there is beside the log, once everything is at rest.
type Evidence struct {
	// Expected has every order that there is.
	Expected []Expected
	// Parked are orders that poison keeps: they need not settle, and what waits behind the poison is explained.
	Parked map[string]bool
	Ledger Ledger
	Mails  []Mail
	// Gone is what there was of the orders of logs before this one.
	Gone Gone
	// Documents of the read model, by order. Those that are not here are not looked at.
	Documents map[string]Document
}

// Document is what the read model has of an order.
type Document struct {
	// Missing: there is none.
	Missing bool
	// Differs says how it is other than a fold of the log; empty: it is not.
	Differs string
	// Refused says why a customer cannot read it; empty: this is read:
	Refused         string
	Status, Payment string
	Settled         bool
	// Listed is how often the list of all orders has it.
	Listed int
}

// Judge holds everything against everything. The log must have been taken in to its end.
func (k *Checker) Judge(at Evidence) *Report {
	r := &Report{
		Orders: len(at.Expected), Records: k.records, PoisonRecords: len(k.poison), Violations: slices.Clone(k.broken),
		ChargesPerOrder: map[int]int{}, RefundsPerCancelled: map[int]int{}, CopiesPerMail: map[int]int{},
		k: k, took: map[string]time.Duration{},
	}
	expected := map[string]Expected{}
	for _, e := range at.Expected {
		expected[e.ID] = e
	}
	for id, o := range k.orders {
		r.VoidedRecords += len(o.know().Void)
		r.RecordCopies += o.Copies()
		if _, ok := expected[id]; !ok && len(o.events) > 0 {
			r.add(stranger.violation(id, "is in the log, but nobody was promised it"))
		}
		r.add(o.atRest(at.Parked[id])...)
		o.dead(r, at.Parked[id])
	}
	k.swallowed(r)
	for id, e := range expected {
		if !at.Parked[id] {
			k.Order(id).outcome(r, e)
		}
	}
	r.Settle = r.SettleOf(at.Expected)
	mails := at.Gone.leave(r, at.Ledger, at.Mails)
	k.ledger(r, at.Ledger, expected, at.Parked)
	k.mails(r, mails, expected)
	for id, d := range at.Documents {
		k.Order(id).document(r, d, at.Parked[id])
	}
	r.sort()
	return r
}

// Ended says what is wrong with the order, which is at rest, by the log alone.
func (o *Order) Ended(e Expected) []Violation {
	r := &Report{Violations: o.atRest(false), took: map[string]time.Duration{}}
	o.outcome(r, e)
	return r.Violations
}

// Paid says what is wrong with the money of the order, which is at rest.
func (o *Order) Paid(e Expected, l LedgerOrder) []Violation {
	r := &Report{Violations: append(l.Money().twice(o.ID), o.money(l.Money(), e.Total)...)}
	o.moneyInOrder(r, l)
	return r.Violations
}

// outcome checks that the order came to the end that its customer was promised.
func (o *Order) outcome(r *Report, e Expected) {
	f := o.know().facts
	if len(f.placed) == 0 {
		r.add(lostOrder.violation(o.ID, "was answered with 202 and is in the log 0 times"))
		return
	}
	if took, ok := o.Settled(); ok {
		r.took[o.ID] = took
	}
	o.end(r, e)
	if n := int64(len(f.succeeded)); n > 0 && f.charged != e.Total*n {
		r.add(wrongPrice.violation(o.ID, "over %d was charged %d", e.Total, f.charged))
	}
	if n := int64(len(f.refunded)); n > 0 && f.returned != e.Total*n {
		r.add(wrongBack.violation(o.ID, "over %d was refunded %d", e.Total, f.returned))
	}
	for kind, events := range map[notificationv1.Kind][]event{
		notificationv1.Kind_KIND_CONFIRMED: f.confirmed, notificationv1.Kind_KIND_CANCELLED: f.cancelled,
		notificationv1.Kind_KIND_REFUNDED: f.refunded,
	} {
		switch got, want := f.mails[kind], len(events); {
		case got == 1 && want == 0: // more than one says atRest
			r.add(toldTwice.violation(o.ID, "its customer was told %s 1 times, not 0", kind))
		case got < want:
			r.add(untold.violation(o.ID, "its customer was told %s %d times, not %d", kind, got, want))
		}
	}
}

// end checks how the order ended against what was promised.
func (o *Order) end(r *Report, e Expected) {
	f := o.know().facts
	confirmed, cancelled := len(f.confirmed), len(f.cancelled)
	succeeded, declined, refunded := len(f.succeeded), len(f.declined), len(f.refunded)
	late := cancelled > 0 && !f.late.IsZero() // a payment that came too late may cancel any order
	switch {
	case cancelled > 0:
		r.Cancelled++
		if late {
			r.TimedOut++
		}
		if succeeded > refunded {
			r.add(kept.violation(o.ID, "is cancelled with %d charges and %d refunds", succeeded, refunded))
		}
		if succeeded+declined != 1 {
			r.add(answers.violation(o.ID, "is cancelled with %d answers to the payment", succeeded+declined))
		}
	case confirmed > 0:
		r.Confirmed++
		if succeeded == 0 || refunded > 0 {
			r.add(unpaid.violation(o.ID, "is confirmed with %d charges and %d refunds", succeeded, refunded))
		}
	default:
		r.add(endless.violation(o.ID, "is neither confirmed nor cancelled"))
		return
	}
	switch {
	case e.CancelAsked && cancelled == 0:
		r.add(forgotten.violation(o.ID, "is not cancelled, though that was promised"))
	case e.Declined && (succeeded > 0 || cancelled == 0):
		r.add(badCard.violation(o.ID, "has a declined card and is not cancelled without a charge"))
	case !e.Declined && !e.CancelAsked && !late && confirmed == 0:
		r.add(goodCard.violation(o.ID, "has a good card and is not confirmed: %s %s", f.reason, f.declineReason))
	}
}

// document checks that a customer reads what the log says.
func (o *Order) document(r *Report, d Document, parked bool) {
	if d.Listed != 1 && !parked {
		r.add(listed.violation(o.ID, "is in the list of orders %d times", d.Listed))
	}
	status, payment := o.says()
	_, settled := o.Settled()
	switch {
	case len(o.events) == 0: // said already
	case d.Missing:
		r.add(unread.violation(o.ID, "is not in the read model"))
	case d.Differs != "":
		r.add(differs.violation(o.ID, "%s", d.Differs))
	case d.Refused != "":
		r.add(refused.violation(o.ID, "cannot be read: %s", d.Refused))
	case d.Status != status || d.Payment != payment || d.Settled != settled:
		r.add(wrongRead.violation(o.ID, "a customer reads %s, payment %s, settled %t; the log says %s, payment %s",
			d.Status, d.Payment, d.Settled, status, payment))
	}
}

// says is what a customer must read.
func (o *Order) says() (status, payment string) {
	f := o.know().facts
	status, payment = "placed", "pending"
	switch {
	case len(f.refunded) > 0:
		payment = "refunded"
	case len(f.succeeded) > 0:
		payment = "succeeded"
	case len(f.declined) > 0:
		payment = "declined"
	}
	switch {
	case len(f.cancelled) > 0:
		status = "cancelled"
	case len(f.confirmed) > 0:
		status = "confirmed"
	}
	return status, payment
}

// bare is a Message-ID without its angle brackets.
func bare(id string) string { return strings.Trim(id, "<>") }
