// Package order is the participant that takes orders over HTTP and decides what becomes of them. It subscribes to the requests of its
// own door and the payments succeeded and declined, and answers with orders confirmed and cancelled.
//
//   - behavior.go: what it subscribes to, its answers, its deadline
//   - events.go: the domain's facts as protobuf, and back
//   - run.go, config.go: the service around it
//   - internal/domain: states, facts, decisions; what a request must keep to
//   - internal/httpapi: the door
package order

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"google.golang.org/protobuf/proto"
)

// Name of the participant.
const Name = "order"

// paymentTimeout is the reason of a PaymentDeclined that came of the payment deadline (schemas/proto,
// PaymentDeclined.reason).
const paymentTimeout = "payment_timeout"

// Behavior is what order does. It subscribes to its own topic because its HTTP door publishes there.
func Behavior() participant.Behavior[domain.Order] {
	return participant.Behavior[domain.Order]{
		Name:        Name,
		FoldVersion: 1,
		Subscribes: []participant.Subscription{
			{Topic: participant.FactsTopic(Name), Types: []string{event.TypeOf(&orderv1.OrderCancellationRequested{})}},
			{Topic: participant.FactsTopic("payment"), Types: []string{
				event.TypeOf(&paymentv1.PaymentSucceeded{}), event.TypeOf(&paymentv1.PaymentDeclined{}),
			}},
		},
		React:    react,
		Evolve:   func(o domain.Order, m event.Message) domain.Order { return o.Evolve(fromBody(m.Body)) },
		Deadline: domain.Order.Deadline,
	}
}

func react(_ context.Context, o domain.Order, m event.Message) (proto.Message, error) {
	fact, err := decide(o, m)
	if err != nil || fact == nil {
		return participant.Nothing, err
	}
	return toBody(o, fact), nil
}

func decide(o domain.Order, m event.Message) (domain.Fact, error) {
	if m.Type == participant.DeadlinePassed {
		return o.OnDeadlinePassed()
	}
	switch body := m.Body.(type) {
	case *paymentv1.PaymentSucceeded:
		return o.OnPaymentSucceeded()
	case *paymentv1.PaymentDeclined:
		if body.GetReason() == paymentTimeout {
			return o.OnDeadlinePassed() // payment saw it pass first; nobody declined anything
		}
		return o.OnPaymentDeclined()
	case *orderv1.OrderCancellationRequested:
		return o.OnCancellationRequested()
	}
	return nil, nil
}
