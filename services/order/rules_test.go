package order

import (
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/participanttest"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

func TestTheFiveRules(t *testing.T) {
	participanttest.Rules(t, participanttest.Suite[domain.Order]{
		Instances: func(*rapid.T) func() participant.Behavior[domain.Order] { return Behavior },
		First: func(_ *rapid.T, at time.Time) proto.Message {
			placed := placedBody()
			placed.PlacedAt, placed.PaymentDeadline = timestamppb.New(at), timestamppb.New(at.Add(15*time.Minute))
			return placed
		},
		Events: map[string]participanttest.Bodies{
			event.TypeOf(&paymentv1.PaymentSucceeded{}): func(*rapid.T, time.Time) proto.Message { return &paymentv1.PaymentSucceeded{} },
			event.TypeOf(&paymentv1.PaymentDeclined{}): func(t *rapid.T, _ time.Time) proto.Message {
				return &paymentv1.PaymentDeclined{Reason: rapid.SampledFrom([]string{paymentTimeout, "card_declined"}).Draw(t, "reason")}
			},
			event.TypeOf(&orderv1.OrderCancellationRequested{}): func(*rapid.T, time.Time) proto.Message { return &orderv1.OrderCancellationRequested{} },
		},
	})
}
