package order

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"github.com/troupe-dev/troupe/services/order/internal/facts"
	"google.golang.org/protobuf/proto"
)

var (
	cancellationRequested = event.TypeOf(&orderv1.OrderCancellationRequested{})
	paymentSucceeded      = event.TypeOf(&paymentv1.PaymentSucceeded{})
	paymentDeclined       = event.TypeOf(&paymentv1.PaymentDeclined{})
)

// paymentTimeout is the reason of a PaymentDeclined that came of the payment deadline (schemas/proto,
// PaymentDeclined.reason).
const paymentTimeout = "payment_timeout"

// Behavior is what order does. It hears its own topic because its HTTP door publishes there.
func Behavior() participant.Behavior[domain.Order] {
	return participant.Behavior[domain.Order]{
		Name:        Name,
		FoldVersion: 1,
		Hears: []participant.Hears{
			{Topic: participant.FactsTopic(Name), Types: []string{cancellationRequested}},
			{Topic: participant.FactsTopic("payment"), Types: []string{paymentSucceeded, paymentDeclined}},
		},
		React:    react,
		Evolve:   evolve,
		Deadline: func(o domain.Order) (time.Time, bool) { return o.Deadline() },
	}
}

func react(_ context.Context, o domain.Order, m event.Message) (proto.Message, error) {
	var fact domain.Fact
	var err error
	switch m.Type {
	case paymentSucceeded:
		fact, err = o.OnPaymentSucceeded()
	case paymentDeclined:
		if m.Body.(*paymentv1.PaymentDeclined).GetReason() == paymentTimeout {
			fact, err = o.OnDeadlinePassed() // payment saw it pass first; nobody declined anything
			break
		}
		fact, err = o.OnPaymentDeclined()
	case cancellationRequested:
		fact, err = o.OnCancellationRequested()
	case participant.DeadlinePassed:
		fact, err = o.OnDeadlinePassed()
	}
	switch {
	case errors.Is(err, domain.ErrNotPlaced):
		return nil, fault.As(fault.NotYet, err)
	case err != nil:
		return nil, err
	case fact == nil:
		return participant.Nothing, nil
	}
	return facts.Message(o, fact), nil
}

func evolve(o domain.Order, m event.Message) domain.Order {
	if f := facts.Read(m.Body); f != nil {
		return o.Evolve(f)
	}
	return o
}
