package httpapi

import (
	"time"

	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// order shows a document.
func order(f readmodel.Found) Order {
	o := Order{
		ID: f.ID, Version: int64(f.Version), CustomerID: f.Order.Customer, Status: OrderStatus(f.Status()),
		Total: f.Order.Total, Currency: f.Order.Currency, Lines: make([]Line, len(f.Order.Lines)),
		PlacedAt: f.Order.Placed.Time(), UpdatedAt: f.Updated.Time(), SettledAt: f.Settled().Time(), ConfirmedAt: f.Order.Confirmed.Time(),
		Settled: f.Settled() != 0,
		Payment: Payment{
			Status: PaymentStatus(f.PaymentStatus()), PaymentIntentID: f.Payment.Intent, RefundID: f.Payment.Refund,
			DecidedAt: max(f.Payment.Succeeded, f.Payment.Declined).Time(),
			Reason:    f.Payment.Reason, Amount: f.Payment.Amount, Currency: f.Payment.Currency,
		},
		Notifications: []Notification{},
	}
	for i, l := range f.Order.Lines {
		o.Lines[i] = Line{Sku: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice}
	}
	if f.Order.Requested != 0 || f.Order.Cancelled != 0 {
		o.Cancellation = &Cancellation{
			RequestedAt: f.Order.Requested.Time(), CancelledAt: f.Order.Cancelled.Time(), Reason: CancellationReason(f.Order.Reason),
		}
	}
	for _, m := range f.Mails {
		n := Notification{
			Kind: NotificationKind(m.Kind), Status: NotificationStatusSent, SentAt: m.Sent.Time(), MessageID: m.MessageID, Reason: m.Reason,
		}
		if m.Sent == 0 {
			n.Status = NotificationStatusFailed
		}
		o.Notifications = append(o.Notifications, n)
	}
	return o
}

// shown shows an event.
func shown(e story.Event) Event {
	s := Event{
		ID: e.ID, OrderID: e.Subject, Type: e.Type, Source: e.Source, Topic: e.Topic, Partition: int32(e.Partition),
		Offset: e.Offset, Time: e.Time.UTC(), Sequence: int64(e.Sequence), CausationID: e.CausationID, PreviousID: e.PreviousID,
		Data: e.Body, Kind: EventKind(e.Kind), Participant: e.Participant, Class: e.Class, Message: e.Message,
	}
	if e.Gap != nil {
		ms := float64(*e.Gap) / float64(time.Millisecond)
		s.GapMs = &ms
	}
	return s
}
