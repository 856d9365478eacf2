// Package domain decides whom to tell what about an order. It is pure: no clock, no ids, no context.
package domain

import (
	"maps"
	"time"
)

// Kind of a mail. An order gets at most one of each.
type Kind string

const (
	Confirmed Kind = "confirmed"
	Cancelled Kind = "cancelled"
	Refunded  Kind = "refunded"
)

// Reason of a cancellation.
type Reason string

const (
	ByCustomer      Reason = "customer"
	PaymentDeclined Reason = "payment_declined"
	PaymentTimeout  Reason = "payment_timeout"
)

// Status of a mail that was tried: there is no way on from either.
type Status string

const (
	Sent   Status = "sent"
	Failed Status = "failed" // the recipient was refused for good
)

// Notices is what one order's customer was told, a fold of notification's own facts. The zero value: nothing yet.
type Notices struct {
	// Email is where the last mail went: the refund's event carries no address of its own.
	Email string          `json:"email,omitempty"`
	Told  map[Kind]Status `json:"told,omitempty"`
}

// Fact is what a fact of notification says.
type Fact struct {
	Kind   Kind
	Status Status
	Email  string
	// MessageID of the mail; Reason why it failed. Both are for others.
	MessageID, Reason string
}

// Evolve returns the state after a fact; n stays as it is.
func (n Notices) Evolve(f Fact) Notices {
	told := maps.Clone(n.Told)
	if told == nil {
		told = map[Kind]Status{}
	}
	told[f.Kind] = f.Status
	if f.Email == "" {
		f.Email = n.Email
	}
	return Notices{Email: f.Email, Told: told}
}

// Answer is what to do about an event.
type Answer int

const (
	// Tell the customer.
	Tell Answer = iota
	// Nothing: this was told already, or tried in vain.
	Nothing
	// Wait: nobody has said yet where the customer reads mail.
	Wait
)

// Decide says whether and where to send a mail of a kind. carried is the address in the event; empty when it has none.
func (n Notices) Decide(k Kind, carried string) (to string, a Answer) {
	switch _, told := n.Told[k]; {
	case told:
		return "", Nothing
	case carried != "":
		return carried, Tell
	case n.Email != "":
		return n.Email, Tell
	}
	return "", Wait
}

// Line is one position of an order; Price is for one piece, in minor units.
type Line struct {
	SKU, Name string
	Quantity  int32
	Price     int64
}

// Mail is everything that a mail says, so that the same event always makes the same mail.
type Mail struct {
	// CauseID is the id of the event that the mail is about; the Message-ID is made from it.
	CauseID string
	// At is when that event was decided.
	At       time.Time
	OrderID  string
	To       string
	Kind     Kind
	Reason   Reason // of a cancellation
	Currency string // ISO 4217
	Amount   int64  // in minor units: the order's total, or what was refunded
	Lines    []Line // of a confirmation
}
