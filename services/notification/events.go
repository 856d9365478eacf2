package notification

import (
	"cmp"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"google.golang.org/protobuf/proto"
)

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
		about.Reason = event.EnumText(b.GetReason())
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

func toBody(f domain.Fact) proto.Message {
	kind := event.EnumOf[notificationv1.Kind](string(f.Kind))
	if f.Status == domain.Failed {
		return &notificationv1.NotificationFailed{Kind: kind, MessageId: f.MessageID, Email: f.Email, Reason: f.Reason}
	}
	return &notificationv1.NotificationSent{Kind: kind, MessageId: f.MessageID, Email: f.Email}
}

// fromBody is the zero Fact for a body that is none of notification's.
func fromBody(body proto.Message) domain.Fact {
	switch b := body.(type) {
	case *notificationv1.NotificationSent:
		return domain.Fact{Kind: kindOf(b.GetKind()), Status: domain.Sent, MessageID: b.GetMessageId(), Email: b.GetEmail()}
	case *notificationv1.NotificationFailed:
		return domain.Fact{
			Kind: kindOf(b.GetKind()), Status: domain.Failed, MessageID: b.GetMessageId(), Email: b.GetEmail(),
			Reason: b.GetReason(),
		}
	}
	return domain.Fact{}
}

// kindOf names one of a later version by its number: remembered, never sent by this one.
func kindOf(k notificationv1.Kind) domain.Kind {
	return domain.Kind(cmp.Or(event.EnumText(k), k.String()))
}
