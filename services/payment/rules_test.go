package payment

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/participanttest"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

// moody is a gateway that fails whenever it likes, before the call has an effect and after it.
type moody struct {
	*fakeGateway
	t *rapid.T
}

func (g moody) mood() {
	moods := []error{nil, nil, fault.New(fault.Unavailable, "down"), fault.Defer(0, "pending")}
	g.err = rapid.SampledFrom(moods).Draw(g.t, "gateway")
	g.unknown = rapid.IntRange(0, 1).Draw(g.t, "answer lost")
}

func (g moody) Charge(ctx context.Context, c Charge) (Outcome, error) {
	g.mood()
	return g.fakeGateway.Charge(ctx, c)
}

func (g moody) Abandon(ctx context.Context, c Charge) (Outcome, error) {
	g.mood()
	return g.fakeGateway.Abandon(ctx, c)
}

func (g moody) Refund(ctx context.Context, r Return) (string, error) {
	g.mood()
	return g.fakeGateway.Refund(ctx, r)
}

func TestTheFiveRules(t *testing.T) {
	participanttest.Rules(t, participanttest.Suite[domain.Payment]{
		Instances: func(t *rapid.T) func() participant.Behavior[domain.Payment] {
			g := moody{newFakeGateway(), t}
			g.decline = rapid.SampledFrom([]string{"", "card_declined"}).Draw(t, "decline")
			return func() participant.Behavior[domain.Payment] { return Behavior(g, keyMemory, undecidedFor) }
		},
		Events: map[string]participanttest.Bodies{
			event.TypeOf(&orderv1.OrderPlaced{}): func(_ *rapid.T, at time.Time) proto.Message {
				body := proto.CloneOf(placed().Body.(*orderv1.OrderPlaced))
				body.PaymentDeadline = timestamppb.New(at.Add(15 * time.Minute))
				return body
			},
			event.TypeOf(&orderv1.OrderCancelled{}): func(*rapid.T, time.Time) proto.Message { return &orderv1.OrderCancelled{} },
		},
	})
}
