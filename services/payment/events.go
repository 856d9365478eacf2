package payment

import (
	"fmt"

	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
	"google.golang.org/protobuf/proto"
)

func toBody(f domain.Fact) proto.Message {
	switch f := f.(type) {
	case domain.PaymentSucceeded:
		return &paymentv1.PaymentSucceeded{PaymentIntentId: f.IntentID, Amount: f.Amount, Currency: f.Currency}
	case domain.PaymentDeclined:
		return &paymentv1.PaymentDeclined{Reason: f.Reason, PaymentIntentId: f.IntentID}
	case domain.PaymentRefunded:
		return &paymentv1.PaymentRefunded{
			RefundId: f.RefundID, PaymentIntentId: f.IntentID, Amount: f.Amount, Currency: f.Currency,
		}
	}
	panic(fmt.Sprintf("no event for a fact of type %T", f))
}

// fromBody returns nil for a body that is none of payment's facts.
func fromBody(body proto.Message) domain.Fact {
	switch b := body.(type) {
	case *paymentv1.PaymentSucceeded:
		return domain.PaymentSucceeded{IntentID: b.GetPaymentIntentId(), Amount: b.GetAmount(), Currency: b.GetCurrency()}
	case *paymentv1.PaymentDeclined:
		return domain.PaymentDeclined{Reason: b.GetReason(), IntentID: b.GetPaymentIntentId()}
	case *paymentv1.PaymentRefunded:
		return domain.PaymentRefunded{
			RefundID: b.GetRefundId(), IntentID: b.GetPaymentIntentId(), Amount: b.GetAmount(), Currency: b.GetCurrency(),
		}
	}
	return nil
}
