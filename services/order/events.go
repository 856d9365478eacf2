package order

import (
	"fmt"

	"github.com/troupe-dev/troupe/pkg/event"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"google.golang.org/protobuf/proto"
)

// toBody is a fact that an order decides, with what those who hear it need. OrderPlaced is the door's: internal/httpapi.
func toBody(o domain.Order, f domain.Fact) proto.Message {
	switch f := f.(type) {
	case domain.OrderConfirmed:
		confirmed := &orderv1.OrderConfirmed{CustomerId: o.CustomerID, Email: o.Email, Currency: o.Currency, Total: o.Total}
		for _, l := range o.Lines {
			confirmed.Lines = append(confirmed.Lines, &orderv1.Line{
				Sku: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice,
			})
		}
		return confirmed
	case domain.OrderCancelled:
		return &orderv1.OrderCancelled{
			Reason:     event.EnumOf[orderv1.CancellationReason](string(f.Reason)),
			CustomerId: o.CustomerID, Email: o.Email, Currency: o.Currency, Total: o.Total,
		}
	}
	panic(fmt.Sprintf("no event for a fact of type %T", f))
}

// fromBody is nil for a body that is no fact of an order, such as a request.
func fromBody(body proto.Message) domain.Fact {
	switch b := body.(type) {
	case *orderv1.OrderPlaced:
		f := domain.OrderPlaced{
			Request: domain.Request{
				CustomerID: b.GetCustomerId(), Email: b.GetEmail(), Currency: b.GetCurrency(), PaymentMethod: b.GetPaymentMethod(),
			},
			Total: b.GetTotal(), BodyHash: b.GetBodyHash(),
			PlacedAt: b.GetPlacedAt().AsTime(), PaymentDeadline: b.GetPaymentDeadline().AsTime(),
		}
		for _, l := range b.GetLines() {
			f.Lines = append(f.Lines, domain.Line{
				SKU: l.GetSku(), Name: l.GetName(), Quantity: l.GetQuantity(), UnitPrice: l.GetUnitPrice(),
			})
		}
		return f
	case *orderv1.OrderConfirmed:
		return domain.OrderConfirmed{}
	case *orderv1.OrderCancelled:
		return domain.OrderCancelled{Reason: domain.Reason(event.EnumText(b.GetReason()))}
	}
	return nil
}
