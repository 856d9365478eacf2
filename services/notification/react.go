package notification

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"github.com/troupe-dev/troupe/services/notification/internal/mail"
	"google.golang.org/protobuf/proto"
)

// Mail is what a Mailer is given.
type Mail = domain.Mail

// Refused is the error by which a Mailer says that the recipient was refused for good.
type Refused = mail.Refused

// PutOff is the error by which a Mailer says that the server does not take this mail for now.
type PutOff = mail.PutOff

// Mailer is notification's door to the mail server.
type Mailer interface {
	// MessageID of the mail about an event; the same for the same event, however often it is sent.
	MessageID(causeID string) string
	// Send blocks until the mail server has the mail. An error is a *Refused, a *PutOff, or has the class that decides
	// between waiting and parking.
	Send(ctx context.Context, m Mail) error
}

type reactor struct {
	mailer      Mailer
	giveUpAfter time.Duration
}

func (r reactor) react(ctx context.Context, state domain.Notices, m event.Message) (proto.Message, error) {
	about, err := mailAbout(m)
	if err != nil {
		return nil, err
	}
	to, answer := state.Decide(about.Kind, about.To)
	switch answer {
	case domain.Nothing:
		return participant.Nothing, nil
	case domain.Wait:
		return nil, fault.New(fault.NotYet, "no mail of this order has gone out yet, so its address is not known")
	}
	about.To = to
	err = r.mailer.Send(ctx, about)
	failed := func(reason string) (proto.Message, error) {
		return &notificationv1.NotificationFailed{
			Kind: kinds[about.Kind], MessageId: r.mailer.MessageID(m.ID), Email: to, Reason: reason,
		}, nil
	}
	var refused *Refused
	var putOff *PutOff
	switch {
	case errors.As(err, &refused):
		return failed(refused.Reason)
	case errors.As(err, &putOff) && participant.Now(ctx).Sub(m.Time) >= r.giveUpAfter && !participant.Skewed(ctx):
		return failed(putOff.Reason)
	case err != nil:
		return nil, err
	}
	return &notificationv1.NotificationSent{Kind: kinds[about.Kind], MessageId: r.mailer.MessageID(m.ID), Email: to}, nil
}

// mailAbout reads what an event has to tell. Only the refund comes without an address.
func mailAbout(m event.Message) (Mail, error) {
	about := Mail{CauseID: m.ID, At: m.Time, OrderID: m.Subject}
	switch b := m.Body.(type) {
	case *orderv1.OrderConfirmed:
		about.Kind, about.To, about.Currency, about.Amount = domain.Confirmed, b.GetEmail(), b.GetCurrency(), b.GetTotal()
		for _, l := range b.GetLines() {
			about.Lines = append(about.Lines, domain.Line{
				SKU: l.GetSku(), Name: l.GetName(), Quantity: l.GetQuantity(), Price: l.GetUnitPrice(),
			})
		}
	case *orderv1.OrderCancelled:
		about.Kind, about.To, about.Currency, about.Amount = domain.Cancelled, b.GetEmail(), b.GetCurrency(), b.GetTotal()
		about.Reason = reasons[b.GetReason()]
	case *paymentv1.PaymentRefunded:
		about.Kind, about.Currency, about.Amount = domain.Refunded, b.GetCurrency(), b.GetAmount()
		return about, nil
	default:
		return Mail{}, fault.New(fault.Permanent, "notification does not hear events of type %s", m.Type)
	}
	if about.To == "" {
		return Mail{}, fault.Field("email", "must not be empty in %s", m.Type)
	}
	return about, nil
}

func evolve(state domain.Notices, fact event.Message) domain.Notices {
	switch b := fact.Body.(type) {
	case *notificationv1.NotificationSent:
		return state.Evolve(domain.Fact{Kind: kindOf(b.GetKind()), Status: domain.Sent, Email: b.GetEmail()})
	case *notificationv1.NotificationFailed:
		return state.Evolve(domain.Fact{Kind: kindOf(b.GetKind()), Status: domain.Failed, Email: b.GetEmail()})
	}
	return state // a type that a later version publishes
}

var kinds = map[domain.Kind]notificationv1.Kind{
	domain.Confirmed: notificationv1.Kind_KIND_CONFIRMED,
	domain.Cancelled: notificationv1.Kind_KIND_CANCELLED,
	domain.Refunded:  notificationv1.Kind_KIND_REFUNDED,
}

func kindOf(k notificationv1.Kind) domain.Kind {
	for d, p := range kinds {
		if p == k {
			return d
		}
	}
	return domain.Kind(k.String()) // of a later version: remembered, never sent by this one
}

var reasons = map[orderv1.CancellationReason]domain.Reason{
	orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER:         domain.ByCustomer,
	orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED: domain.PaymentDeclined,
	orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT:  domain.PaymentTimeout,
}
