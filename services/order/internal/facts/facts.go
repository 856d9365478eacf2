// Package facts says the domain's facts in the words of the contract (schemas/proto) and reads them back.
package facts

import (
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Message is the body of a fact that an order decides; it carries what those who hear it need.
func Message(o domain.Order, f domain.Fact) proto.Message {
	switch f := f.(type) {
	case domain.OrderPlaced:
		return Placed(f)
	case domain.OrderConfirmed:
		return &orderv1.OrderConfirmed{
			CustomerId: o.CustomerID, Email: o.Email, Currency: o.Currency, Total: o.Total, Lines: lines(o.Lines),
		}
	case domain.OrderCancelled:
		return &orderv1.OrderCancelled{
			Reason: reasons[f.Reason], CustomerId: o.CustomerID, Email: o.Email, Currency: o.Currency, Total: o.Total,
		}
	}
	return nil
}

// Placed is the body of the first fact.
func Placed(f domain.OrderPlaced) *orderv1.OrderPlaced {
	return &orderv1.OrderPlaced{
		CustomerId: f.CustomerID, Email: f.Email, Currency: f.Currency, PaymentMethod: f.PaymentMethod,
		Lines: lines(f.Lines), Total: f.Total, BodyHash: f.BodyHash,
		PlacedAt: timestamppb.New(f.PlacedAt), PaymentDeadline: timestamppb.New(f.PaymentDeadline),
	}
}

// Read returns the fact of a body; nil for a body that is no fact of an order, such as a request.
func Read(body proto.Message) domain.Fact {
	switch b := body.(type) {
	case *orderv1.OrderPlaced:
		f := domain.OrderPlaced{
			CustomerID: b.GetCustomerId(), Email: b.GetEmail(), Currency: b.GetCurrency(), PaymentMethod: b.GetPaymentMethod(),
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
		for reason, said := range reasons {
			if said == b.GetReason() {
				return domain.OrderCancelled{Reason: reason}
			}
		}
		return domain.OrderCancelled{}
	}
	return nil
}

var reasons = map[domain.Reason]orderv1.CancellationReason{
	domain.ByCustomer:      orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER,
	domain.PaymentDeclined: orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED,
	domain.PaymentTimeout:  orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT,
}

func lines(ls []domain.Line) []*orderv1.Line {
	out := make([]*orderv1.Line, len(ls))
	for i, l := range ls {
		out[i] = &orderv1.Line{Sku: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice}
	}
	return out
}
