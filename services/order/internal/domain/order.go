// Package domain is what an order is: its states, the facts that change them, and the answer to everything that can happen
// to it. Pure: no clock, no ids, no context, nothing but the standard library and the classes of errors.
package domain

import (
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Status of an order. The zero value is an order that nobody placed.
type Status string

// An order is placed until it is confirmed or cancelled; a confirmed one can still be cancelled.
const (
	Unplaced  Status = ""
	Placed    Status = "placed"
	Confirmed Status = "confirmed"
	Cancelled Status = "cancelled"
)

// next is every step an order can take; what is not in it is refused.
var next = map[Status][]Status{
	Unplaced:  {Placed},
	Placed:    {Confirmed, Cancelled},
	Confirmed: {Cancelled},
	Cancelled: {},
}

// Reason for a cancellation.
type Reason string

// Reasons.
const (
	ByCustomer      Reason = "customer"
	PaymentDeclined Reason = "payment_declined"
	PaymentTimeout  Reason = "payment_timeout"
)

// Line is one position of an order. UnitPrice is in minor units of the order's currency.
type Line struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int32  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
}

// Order is the state of one order: the fold of its own facts. It is stored as JSON, and compared with by the door: a folded
// order is the record of its idempotency key.
type Order struct {
	Status          Status    `json:"status"`
	CustomerID      string    `json:"customer_id"`
	Email           string    `json:"email"`
	Currency        string    `json:"currency"`
	Total           int64     `json:"total"` // minor units
	Lines           []Line    `json:"lines"`
	PlacedAt        time.Time `json:"placed_at"`
	PaymentDeadline time.Time `json:"payment_deadline"`
	BodyHash        []byte    `json:"body_hash"`
	Reason          Reason    `json:"reason,omitempty"` // of the cancellation
}

// A Fact changes an order. The three below are all there are.
type Fact interface{ status() Status }

// OrderPlaced is always the first fact.
type OrderPlaced struct {
	Request
	Total           int64 // minor units
	PlacedAt        time.Time
	PaymentDeadline time.Time
	BodyHash        []byte
}

// OrderConfirmed follows a payment.
type OrderConfirmed struct{}

// OrderCancelled ends an order for good; payment gives back what was charged.
type OrderCancelled struct{ Reason Reason }

func (OrderPlaced) status() Status    { return Placed }
func (OrderConfirmed) status() Status { return Confirmed }
func (OrderCancelled) status() Status { return Cancelled }

// Evolve returns the order after a fact. A fact that is no legal step from here changes nothing, and neither does nil.
func (o Order) Evolve(f Fact) Order {
	if f == nil || !slices.Contains(next[o.Status], f.status()) {
		return o
	}
	switch f := f.(type) {
	case OrderPlaced:
		o = Order{
			CustomerID: f.CustomerID, Email: f.Email, Currency: f.Currency, Total: f.Total, Lines: f.Lines,
			PlacedAt: f.PlacedAt, PaymentDeadline: f.PaymentDeadline, BodyHash: f.BodyHash,
		}
	case OrderCancelled:
		o.Reason = f.Reason
	}
	o.Status = f.status()
	return o
}

// Deadline is when an order has waited long enough for its payment; ok is false when it waits for none.
func (o Order) Deadline() (at time.Time, ok bool) { return o.PaymentDeadline, o.Status == Placed }

// Cancellable says whether the customer may still ask for a cancellation at now, window after the order was placed.
func (o Order) Cancellable(now time.Time, window time.Duration) bool {
	return !now.After(o.PlacedAt.Add(window))
}

// ErrNotPlaced is the answer to whatever arrives before the order itself has: its cause is on the way.
var ErrNotPlaced = fault.New(fault.NotYet, "the order is not placed yet")

// OnPaymentSucceeded confirms an order that waits. One that is cancelled stays so: payment refunds it, answering OrderCancelled.
func (o Order) OnPaymentSucceeded() (Fact, error) { return o.step(OrderConfirmed{}, Placed) }

// OnPaymentDeclined cancels an order that waits.
func (o Order) OnPaymentDeclined() (Fact, error) {
	return o.step(OrderCancelled{PaymentDeclined}, Placed)
}

// OnCancellationRequested cancels an order that waits or is confirmed.
func (o Order) OnCancellationRequested() (Fact, error) {
	return o.step(OrderCancelled{ByCustomer}, Placed, Confirmed)
}

// OnDeadlinePassed cancels an order that still waits for its payment.
func (o Order) OnDeadlinePassed() (Fact, error) {
	return o.step(OrderCancelled{PaymentTimeout}, Placed)
}

// step answers with a fact when the order is in one of the states, and with nothing in every other; those lie after them, so
// nothing stays nothing.
func (o Order) step(f Fact, from ...Status) (Fact, error) {
	switch {
	case o.Status == Unplaced:
		return nil, ErrNotPlaced
	case slices.Contains(from, o.Status):
		return f, nil
	}
	return nil, nil
}
