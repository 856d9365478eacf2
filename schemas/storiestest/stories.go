// Package storiestest tells whole orders for tests: what their events say, and which answers which. Whoever asks for a story
// makes the records.
package storiestest

import (
	"time"

	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Private is what no document and no story may hold.
const (
	Email         = "ada@example.com"
	PaymentMethod = "pm_card_visa"
)

// Writer makes a record R of an order's event, in answer to cause, whose zero value is none. A fact is chained behind the
// one before it of the same source and order, a request stands alone.
type Writer[R any] interface {
	Now() time.Time
	Fact(source, order string, body proto.Message, cause R) R
	Request(source, order string, body proto.Message, cause R) R
}

// Orders tells orders of two pounds of tea.
type Orders[R any] struct{ to Writer[R] }

// To returns those that are told to a writer.
func To[R any](w Writer[R]) Orders[R] { return Orders[R]{w} }

// Placed is the first event of an order.
func (o Orders[R]) Placed(id, customer string) R {
	var nobody R
	now := o.to.Now()
	return o.to.Fact("order", id, &orderv1.OrderPlaced{
		CustomerId: customer, Email: Email, Currency: "EUR", PaymentMethod: PaymentMethod, Total: 2500,
		Lines:    []*orderv1.Line{{Sku: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
		PlacedAt: timestamppb.New(now), PaymentDeadline: timestamppb.New(now.Add(time.Minute)), BodyHash: make([]byte, 32),
	}, nobody)
}

// Confirmed is an order that went well.
func (o Orders[R]) Confirmed(id, customer string) []R {
	placed := o.Placed(id, customer)
	paid := o.to.Fact("payment", id, &paymentv1.PaymentSucceeded{PaymentIntentId: "pi_1", Amount: 2500, Currency: "EUR"}, placed)
	confirmed := o.to.Fact("order", id, &orderv1.OrderConfirmed{CustomerId: customer, Email: Email, Currency: "EUR", Total: 2500}, paid)
	return []R{placed, paid, confirmed, o.mail(id, notificationv1.Kind_KIND_CONFIRMED, confirmed)}
}

// Declined is an order whose card was declined.
func (o Orders[R]) Declined(id, customer string) []R {
	placed := o.Placed(id, customer)
	declined := o.to.Fact("payment", id, &paymentv1.PaymentDeclined{Reason: "card_declined", PaymentIntentId: "pi_1"}, placed)
	cancelled := o.cancelled(id, customer, orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED, declined)
	return []R{placed, declined, cancelled, o.mail(id, notificationv1.Kind_KIND_CANCELLED, cancelled)}
}

// Refunded is an order that was confirmed, and cancelled by its customer, whose mailbox was then gone.
func (o Orders[R]) Refunded(id, customer string) []R {
	var nobody R
	told := o.Confirmed(id, customer)
	asked := o.to.Request("order", id, &orderv1.OrderCancellationRequested{RequestedAt: timestamppb.New(o.to.Now())}, nobody)
	cancelled := o.cancelled(id, customer, orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER, asked)
	mail := o.mail(id, notificationv1.Kind_KIND_CANCELLED, cancelled)
	refunded := o.to.Fact("payment", id, &paymentv1.PaymentRefunded{RefundId: "re_1", PaymentIntentId: "pi_1", Amount: 2500, Currency: "EUR"}, cancelled)
	failed := o.to.Fact("notification", id, &notificationv1.NotificationFailed{
		Kind: notificationv1.Kind_KIND_REFUNDED, MessageId: "m3@troupe.example", Email: Email, Reason: "550 no such mailbox",
	}, refunded)
	return append(told, asked, cancelled, mail, refunded, failed)
}

func (o Orders[R]) cancelled(id, customer string, why orderv1.CancellationReason, cause R) R {
	return o.to.Fact("order", id, &orderv1.OrderCancelled{Reason: why, CustomerId: customer, Email: Email, Currency: "EUR", Total: 2500}, cause)
}

func (o Orders[R]) mail(id string, kind notificationv1.Kind, cause R) R {
	return o.to.Fact("notification", id, &notificationv1.NotificationSent{Kind: kind, MessageId: MessageID(id, kind), Email: Email}, cause)
}

// MessageID of an order's mail.
func MessageID(order string, kind notificationv1.Kind) string {
	return order + "." + kind.String() + "@troupe.example"
}
