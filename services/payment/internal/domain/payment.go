// Package domain holds what a payment is: its states, what changes them, and the decisions. Everything is pure: no clock, no
// ids, no context, no input or output.
package domain

import (
	"slices"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Status of one order's payment.
type Status string

const (
	// Open is the state before the first fact: the gateway has given no final answer yet.
	Open      Status = ""
	Succeeded Status = "succeeded"
	Declined  Status = "declined"
	Refunded  Status = "refunded"
)

// next lists which status may follow which; what is not in it is refused.
var next = map[Status][]Status{
	Open:      {Succeeded, Declined},
	Succeeded: {Refunded},
	Declined:  {},
	Refunded:  {},
}

// Payment is the state of one order's payment: a fold of payment's own facts and of nothing else. Its zero value is the state
// before the first fact.
type Payment struct {
	Status Status `json:"status,omitempty"`
	// IntentID names the charge at the gateway; empty while open, and when the gateway refused before there was an intent.
	IntentID string `json:"intent_id,omitempty"`
	// Amount charged, in minor units of Currency; 0 unless a charge was made.
	Amount int64 `json:"amount,omitempty"`
	// Currency is an ISO 4217 code in capitals.
	Currency string `json:"currency,omitempty"`
}

// Fact is one of PaymentSucceeded, PaymentDeclined and PaymentRefunded.
type Fact interface{ status() Status }

// PaymentSucceeded says that the customer was charged, once.
type PaymentSucceeded struct {
	IntentID string
	Amount   int64
	Currency string
}

// PaymentDeclined says that the customer never will be charged. IntentID may be empty.
type PaymentDeclined struct {
	Reason   string
	IntentID string
}

// PaymentRefunded says that the whole charge went back, once.
type PaymentRefunded struct {
	RefundID string
	IntentID string
	Amount   int64
	Currency string
}

func (PaymentSucceeded) status() Status { return Succeeded }
func (PaymentDeclined) status() Status  { return Declined }
func (PaymentRefunded) status() Status  { return Refunded }

// Evolve returns the payment after a fact. A fact that may not follow changes nothing (the log has no such fact that is
// valid), and neither does nil.
func (p Payment) Evolve(f Fact) Payment {
	if f == nil || !slices.Contains(next[p.Status], f.status()) {
		return p
	}
	switch f := f.(type) {
	case PaymentSucceeded:
		p.IntentID, p.Amount, p.Currency = f.IntentID, f.Amount, f.Currency
	case PaymentDeclined:
		p.IntentID = f.IntentID
	}
	p.Status = f.status()
	return p
}

// Charge is what the gateway is asked to charge for an order.
type Charge struct {
	// EventID is the id of the event that asks. All idempotency keys are made from it.
	EventID string
	OrderID string
	// CustomerID is who ordered; the gateway is not told.
	CustomerID string
	// Amount in minor units of Currency, an ISO 4217 code in capitals.
	Amount   int64
	Currency string
	// Method is a payment method token (pm_…).
	Method string
	// KeysForgotten: the event is so old that the gateway may have forgotten its idempotency keys, or was edited, so that they
	// may have been used for something else. What exists must be looked up by order id first.
	KeysForgotten bool
	// Edited: the event is another than its id was made for.
	Edited bool
	// Overdue: the deadline passed so long ago that a look-up by order id finds whatever exists.
	Overdue bool
}

// Outcome is the gateway's final word about a charge.
type Outcome struct {
	// IntentID is empty when the gateway refused before an intent existed.
	IntentID string
	// Charged: the money is taken, Amount of Currency. False: it never will be, for Reason.
	Charged  bool
	Amount   int64
	Currency string
	Reason   string
}

// ReasonTimeout is the reason of a payment given up because its deadline had passed.
const ReasonTimeout = "payment_timeout"

// Settle decides what the gateway's final word about the charge means. It is Permanent that the money taken is not the money
// asked for: nobody but a person can put it right.
func (p Payment) Settle(c Charge, o Outcome) (Fact, error) {
	if !o.Charged {
		return PaymentDeclined{Reason: o.Reason, IntentID: o.IntentID}, nil
	}
	if o.Amount != c.Amount || o.Currency != c.Currency {
		return nil, fault.New(fault.Permanent, "gateway charged %d %s for order total %d %s (intent %s)",
			o.Amount, o.Currency, c.Amount, c.Currency, o.IntentID)
	}
	return PaymentSucceeded{IntentID: o.IntentID, Amount: o.Amount, Currency: o.Currency}, nil
}

// Return is what the gateway is asked to give back. The fields are those of Charge.
type Return struct {
	EventID       string
	OrderID       string
	IntentID      string
	Amount        int64
	Currency      string
	KeysForgotten bool
}

// ErrOpen says that whether there is anything to give back is not known yet.
var ErrOpen = fault.New(fault.NotYet, "the payment is not settled yet")

// GiveBack decides what a cancelled order gets back: all of its charge, or nothing (ok is false). It returns ErrOpen while
// the payment is open.
func (p Payment) GiveBack() (r Return, ok bool, err error) {
	switch p.Status {
	case Open:
		return Return{}, false, ErrOpen
	case Succeeded:
		return Return{IntentID: p.IntentID, Amount: p.Amount, Currency: p.Currency}, true, nil
	}
	return Return{}, false, nil
}

// Refund decides that the whole charge went back as the refund of that id.
func (p Payment) Refund(refundID string) Fact {
	return PaymentRefunded{RefundID: refundID, IntentID: p.IntentID, Amount: p.Amount, Currency: p.Currency}
}
