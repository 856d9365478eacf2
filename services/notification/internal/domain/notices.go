// Package domain decides whom to tell what about an order. It is pure: no clock, no ids, no context.
package domain

import (
	"cmp"
	"maps"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Kind of a mail. An order gets at most one of each.
type Kind string

const (
	Confirmed Kind = "confirmed"
	Cancelled Kind = "cancelled"
	Refunded  Kind = "refunded"
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

// Evolve returns the state after a fact; n stays as it is. The zero fact, of a type that a later version publishes,
// changes nothing.
func (n Notices) Evolve(f Fact) Notices {
	if f.Kind == "" {
		return n
	}
	told := map[Kind]Status{f.Kind: f.Status}
	maps.Copy(told, n.Told)
	told[f.Kind] = f.Status
	return Notices{Email: cmp.Or(f.Email, n.Email), Told: told}
}

// ErrNoAddress says that nobody has told yet where the customer reads mail.
var ErrNoAddress = fault.New(fault.NotYet, "no mail of this order has gone out yet, so its address is not known")

// Decide says where to send a mail of a kind; ok is false when that was told already, or tried in vain. carried is the
// address in the event; empty when it has none. It returns ErrNoAddress while there is no other.
func (n Notices) Decide(k Kind, carried string) (to string, ok bool, err error) {
	to = cmp.Or(carried, n.Email)
	switch _, told := n.Told[k]; {
	case told:
		return "", false, nil
	case to == "":
		return "", false, ErrNoAddress
	}
	return to, true, nil
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
	Reason   string // of a cancellation: customer, payment_declined, payment_timeout; empty: not known
	Currency string // ISO 4217
	Amount   int64  // in minor units: the order's total, or what was refunded
	Lines    []Line // of a confirmation
}
