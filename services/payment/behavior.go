// Package payment is the participant that charges customers and gives charges back, through a gateway that speaks Stripe's
// API. It subscribes to orders placed and cancelled, and answers with payments succeeded, declined and refunded.
//
//   - behavior.go: what it subscribes to, its answers
//   - events.go: the domain's facts as protobuf, and back
//   - run.go, config.go: the service around it
//   - internal/domain: states, facts, decisions
//   - internal/gateway: the adapter of the gateway
package payment

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
	"google.golang.org/protobuf/proto"
)

// Name of the participant.
const Name = "payment"

// What passes between the participant and its gateway.
type (
	Charge  = domain.Charge
	Outcome = domain.Outcome
	Return  = domain.Return
)

// Gateway is the port through which money moves. Every method makes its idempotency keys from the EventID it is given, so
// it may be asked the same again, by any instance, and does it once. It returns only what is final; an outcome that is not
// known yet is an error of class Unavailable, or Deferred when only this payment is undecided.
type Gateway interface {
	// Charge charges the customer.
	Charge(ctx context.Context, c Charge) (Outcome, error)
	// Abandon makes sure that no charge happens from now on, and says whether one happened before.
	Abandon(ctx context.Context, c Charge) (Outcome, error)
	// Refund gives a whole charge back and returns the refund's id.
	Refund(ctx context.Context, r Return) (refundID string, err error)
}

// searchLag is how late the gateway's search by order id may be, in an outage.
const searchLag = time.Hour

// Behavior is what payment does. keyMemory is the age of an event from which on the gateway may have forgotten the
// idempotency keys made from it; undecidedFor the age from which on a person must look at what the gateway has not
// decided.
func Behavior(g Gateway, keyMemory, undecidedFor time.Duration) participant.Behavior[domain.Payment] {
	return participant.Behavior[domain.Payment]{
		Name:        Name,
		FoldVersion: 1,
		Subscribes: []participant.Subscription{{
			Topic: participant.FactsTopic("order"),
			Types: []string{event.TypeOf(&orderv1.OrderPlaced{}), event.TypeOf(&orderv1.OrderCancelled{})},
		}},
		React:  reactor{gateway: g, keyMemory: keyMemory, undecidedFor: undecidedFor}.react,
		Evolve: func(p domain.Payment, m event.Message) domain.Payment { return p.Evolve(fromBody(m.Body)) },
	}
}

// reactor answers events with the help of a gateway.
type reactor struct {
	gateway   Gateway
	keyMemory time.Duration
	// undecidedFor is the age of an event from which on a person must look at what the gateway has not decided.
	undecidedFor time.Duration
}

func (r reactor) react(ctx context.Context, p domain.Payment, m event.Message) (proto.Message, error) {
	switch body := m.Body.(type) {
	case *orderv1.OrderPlaced:
		return r.placed(ctx, p, m.Event, body)
	case *orderv1.OrderCancelled:
		return r.cancelled(ctx, p, m.Event)
	}
	return participant.Nothing, nil
}

func (r reactor) placed(ctx context.Context, p domain.Payment, e event.Event, body *orderv1.OrderPlaced) (proto.Message, error) {
	if p.Status != domain.Open {
		return participant.Nothing, nil
	}
	if err := body.GetPaymentDeadline().CheckValid(); err != nil {
		return nil, fault.Field("payment_deadline", "must be set: %w", err)
	}
	c := Charge{
		EventID: e.ID, OrderID: e.Subject, CustomerID: body.GetCustomerId(), Amount: body.GetTotal(), Currency: body.GetCurrency(),
		Method: body.GetPaymentMethod(), KeysForgotten: r.forgotten(ctx, e), Edited: participant.Edited(ctx),
	}
	ask := r.gateway.Charge
	// A clock that is wrong gives nothing up. A charge that should not have been made any more is refunded: the order's
	// own deadline cancels the order.
	if late := participant.Now(ctx).Sub(body.GetPaymentDeadline().AsTime()); late > 0 && !participant.Skewed(ctx) {
		ask = r.gateway.Abandon
		c.Overdue = late >= searchLag
	}
	outcome, err := ask(ctx, c)
	if err != nil {
		return nil, r.undecided(ctx, e, err, body.GetPaymentDeadline().AsTime())
	}
	fact, err := p.Settle(c, outcome)
	if err != nil {
		return nil, err
	}
	return toBody(fact), nil
}

func (r reactor) cancelled(ctx context.Context, p domain.Payment, e event.Event) (proto.Message, error) {
	back, ok, err := p.GiveBack()
	if err != nil || !ok {
		return participant.Nothing, err
	}
	back.EventID, back.OrderID, back.KeysForgotten = e.ID, e.Subject, r.forgotten(ctx, e)
	refundID, err := r.gateway.Refund(ctx, back)
	if err != nil {
		return nil, r.undecided(ctx, e, err, time.Time{})
	}
	return toBody(p.Refund(refundID)), nil
}

// undecided is what becomes of the gateway's error: what it has not decided about is asked again no later than just
// after the deadline, while that is to come, and is for a person once the event is too old.
func (r reactor) undecided(ctx context.Context, e event.Event, err error, deadline time.Time) error {
	now := participant.Now(ctx)
	switch {
	case fault.ClassOf(err) != fault.Deferred:
		return err
	case now.Sub(e.Time) >= r.undecidedFor && !participant.Skewed(ctx):
		return fault.New(fault.Permanent, "not decided within %s: %w", r.undecidedFor, err)
	case !deadline.Before(now):
		return fault.Defer(deadline.Sub(now)+time.Second, "%w", err)
	}
	return err
}

// forgotten reports whether keys made from this event say nothing: the gateway may have forgotten them (none was used
// before the event's time), or they may have been used with another payload, or how old the event is cannot be known.
func (r reactor) forgotten(ctx context.Context, e event.Event) bool {
	return participant.Now(ctx).Sub(e.Time) >= r.keyMemory || participant.Edited(ctx) || participant.Skewed(ctx)
}
