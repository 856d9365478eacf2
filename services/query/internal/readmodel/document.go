// Package readmodel is what the query service knows: one document per order, indexes to list them, and counters. The
// projection writes it; this package says what it looks like, and reads it.
package readmodel

import (
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/view"
)

// Name of the projection: its consumer group and the prefix of its keys.
const Name = "query"

// Topics that are folded, in the order that documents refer to them by. A change needs a new fold version (which follows by
// itself).
var Topics = []string{"order.events.v1", "payment.events.v1", "notification.events.v1"}

// Moment is a time as documents keep it.
type Moment = view.Moment

// Document is one order: a section for each topic, so that no order of arrival can corrupt it. Names are short, because
// there is one per order. It never holds a mail address or a payment method.
type Document struct {
	Order   Order   `json:"o,omitzero"`
	Payment Payment `json:"p,omitzero"`
	Mails   []Mail  `json:"m,omitempty"`
	// Notes say where a participant's topic of dead letters speaks of the order, in the order of the log; beyond MaxNotes
	// the older ones are left out. They are a document of its own for each participant, with nothing else but Updated.
	Notes []Note `json:"n,omitempty"`
	// Updated is the time of the newest event.
	Updated Moment `json:"u,omitempty"`
	// Events says where the order's events lie, by topic and offset. Beyond MaxEvents the later ones are left out.
	Events []Location `json:"e,omitempty"`
}

// MaxEvents bounds Document.Events, and MaxNotes Document.Notes.
const (
	MaxEvents = 256
	MaxNotes  = 3000
)

// Order is the section of order.events.v1.
type Order struct {
	Customer  string `json:"c,omitempty"`
	Currency  string `json:"y,omitempty"`
	Total     int64  `json:"t,omitempty"`
	Lines     []Line `json:"l,omitempty"`
	Placed    Moment `json:"p,omitempty"`
	Confirmed Moment `json:"f,omitempty"`
	// Requested is when the customer asked to cancel.
	Requested Moment `json:"q,omitempty"`
	Cancelled Moment `json:"x,omitempty"`
	// Reason of the cancellation: customer, payment_declined or payment_timeout.
	Reason string `json:"r,omitempty"`
}

// Line is one position. Unit prices are in minor units of the order's currency.
type Line struct {
	SKU       string `json:"s"`
	Name      string `json:"n"`
	Quantity  int32  `json:"q"`
	UnitPrice int64  `json:"p"`
}

// Payment is the section of payment.events.v1.
type Payment struct {
	Intent    string `json:"i,omitempty"`
	Refund    string `json:"u,omitempty"`
	Amount    int64  `json:"a,omitempty"`
	Currency  string `json:"y,omitempty"`
	Reason    string `json:"r,omitempty"`
	Succeeded Moment `json:"s,omitempty"`
	Declined  Moment `json:"d,omitempty"`
	Refunded  Moment `json:"b,omitempty"`
}

// Mail is one fact of notification.events.v1.
type Mail struct {
	// Kind is confirmed, cancelled or refunded.
	Kind      string `json:"k"`
	MessageID string `json:"i"`
	// Sent is zero when the recipient was refused, for Reason.
	Sent   Moment `json:"s,omitempty"`
	Reason string `json:"r,omitempty"`
}

// Note is one record of a topic of dead letters. The partition is the order's.
type Note struct {
	Offset int64 `json:"o"`
	// Retried: the participant redrove by itself, in vain. Of several in a row the last one tells all.
	Retried bool `json:"r,omitempty"`
}

// Location of an event: the topic's place in Topics, and the offset. The partition is the order's.
type Location [2]int64

// WithEvent returns the document with one more event. The list stays sorted, whatever the order of arrival.
func (d Document) WithEvent(topic int, offset int64, at time.Time) Document {
	l := Location{int64(topic), offset}
	i, found := slices.BinarySearchFunc(d.Events, l, func(a, b Location) int { return slices.Compare(a[:], b[:]) })
	if !found {
		all := append(make([]Location, 0, len(d.Events)+1), d.Events[:i]...)
		d.Events = append(append(all, l), d.Events[i:]...)
		d.Events = d.Events[:min(len(d.Events), MaxEvents)]
	}
	d.Updated = max(d.Updated, view.At(at))
	return d
}

// WithNote returns the document with one more note.
func (d Document) WithNote(n Note, at time.Time) Document {
	d.Notes = slices.Clone(d.Notes)
	if last := len(d.Notes) - 1; last >= 0 && n.Retried && d.Notes[last].Retried {
		d.Notes = d.Notes[:last]
	}
	d.Notes = append(d.Notes, n)
	d.Notes = d.Notes[max(0, len(d.Notes)-MaxNotes):]
	d.Updated = max(d.Updated, view.At(at))
	return d
}

// Status of an order.
type Status string

// The states of an order. An order that was not placed (its first event is not folded, or no longer in the log) has none.
const (
	Placed    Status = "placed"
	Confirmed Status = "confirmed"
	Cancelled Status = "cancelled"
)

// Statuses that an order can have.
var Statuses = []Status{Placed, Confirmed, Cancelled}

// Status of the order, empty while OrderPlaced is not folded.
func (d Document) Status() Status {
	switch {
	case d.Order.Placed == 0:
		return ""
	case d.Order.Cancelled != 0:
		return Cancelled
	case d.Order.Confirmed != 0:
		return Confirmed
	}
	return Placed
}

// PaymentStatus is pending, succeeded, declined or refunded.
func (d Document) PaymentStatus() string {
	switch {
	case d.Payment.Refunded != 0:
		return "refunded"
	case d.Payment.Declined != 0:
		return "declined"
	case d.Payment.Succeeded != 0:
		return "succeeded"
	}
	return "pending"
}

// Settled is when the order's outcome was reached: confirmed, or cancelled with its payment declined or refunded. Zero: it
// is still open.
func (d Document) Settled() Moment {
	switch d.Status() {
	case Confirmed:
		return d.Order.Confirmed
	case Cancelled:
		if end := max(d.Payment.Declined, d.Payment.Refunded); end != 0 {
			return max(end, d.Order.Cancelled)
		}
	}
	return 0
}

// FirstSettled is when the order settled for the first time: a confirmed order can be cancelled later.
func (d Document) FirstSettled() Moment {
	if d.Order.Placed != 0 && d.Order.Confirmed != 0 {
		return d.Order.Confirmed
	}
	return d.Settled()
}
