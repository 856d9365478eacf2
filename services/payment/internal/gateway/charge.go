package gateway

import (
	"context"
	"errors"
	"strings"

	"github.com/stripe/stripe-go/v84"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
)

// metadataOrder is the metadata field by which an intent is found again.
const metadataOrder = "order_id"

// Charge charges, or finds out that this was done before: it creates the intent, or gets the one that exists, and
// confirms it. It returns the gateway's final word. An error is of class Unavailable when the outcome is unknown and
// the same must be asked again, Deferred when the gateway has not decided about this payment, Permanent when a person
// must look, and without a class (so tried a few times) when the gateway contradicts itself, as its search may do for a
// minute. It blocks for a few requests.
func (g *Stripe) Charge(ctx context.Context, c domain.Charge) (domain.Outcome, error) {
	pi, outcome, err := g.intent(ctx, c)
	if pi == nil {
		return outcome, err
	}
	params := &stripe.PaymentIntentConfirmParams{
		PaymentMethod:         stripe.String(c.Method),
		ErrorOnRequiresAction: stripe.Bool(true),
	}
	key := c.EventID + ":confirm"
	if c.Edited { // the key may have been used with another method
		key += ":" + c.Method
	}
	params.SetIdempotencyKey(key)
	confirmed, err := g.api.V1PaymentIntents.Confirm(ctx, pi.ID, params)
	if err == nil && confirmed.Status == stripe.PaymentIntentStatusSucceeded {
		g.runs.End()
		return charged(confirmed), nil
	}
	if reason := g.declined(err, c); reason != "" {
		return domain.Outcome{IntentID: pi.ID, Reason: reason}, nil
	}
	if err != nil && !stale(err) {
		return domain.Outcome{}, g.failure("confirm", err)
	}
	now, err := g.read(ctx, pi.ID)
	if err == nil && now.Status == stripe.PaymentIntentStatusRequiresAction {
		// The customer's bank wants the customer's presence, which nobody here can give.
		return g.cancel(ctx, c, pi.ID, "authentication_required")
	}
	return decided(now, err)
}

// Abandon makes sure that the order is not charged from now on: it creates the intent, or gets the one that exists, and
// cancels it. A look-up alone would not do, since a call may still be on the wire. When the charge was made already,
// that is the outcome. Errors are those of Charge. It gives nothing up while the clock that says so is wrong, which the
// answer about the intent may be the first to tell: then the error is Unavailable, or the refusal of the payment
// method.
func (g *Stripe) Abandon(ctx context.Context, c domain.Charge) (domain.Outcome, error) {
	pi, outcome, err := g.intent(ctx, c)
	if pi == nil {
		return outcome, err
	}
	if err := g.clock.Err(); err != nil {
		return domain.Outcome{}, err
	}
	return g.cancel(ctx, c, pi.ID, domain.ReasonTimeout)
}

// intent creates the order's intent or gets the one that exists. It returns nil, and the outcome, when that is final
// already or the gateway refuses what is asked.
func (g *Stripe) intent(ctx context.Context, c domain.Charge) (*stripe.PaymentIntent, domain.Outcome, error) {
	if c.KeysForgotten {
		if pi, err := g.find(ctx, c.OrderID); err != nil || pi != nil {
			return judged(pi, err, c)
		}
	}
	params := &stripe.PaymentIntentCreateParams{
		Amount:   stripe.Int64(c.Amount),
		Currency: stripe.String(strings.ToLower(c.Currency)),
		// Named, since what an account enables in its dashboard may need a page to return to.
		PaymentMethodTypes: []*string{stripe.String("card")},
		PaymentMethod:      stripe.String(c.Method),
		Metadata:           map[string]string{metadataOrder: c.OrderID},
	}
	params.SetIdempotencyKey(c.EventID + ":create")
	pi, err := g.api.V1PaymentIntents.Create(ctx, params)
	if err == nil {
		g.standing.Took()
		return pi, domain.Outcome{}, nil
	}
	if reason := g.declined(err, c); reason != "" {
		return nil, domain.Outcome{Reason: reason}, nil
	}
	// With an unknown payment method no intent can be made that could be cancelled: overdue, it is enough that none is
	// found. Not in a run of them: with the key of another account or mode nothing is found of a charge that was made.
	e, ok := errors.AsType[*stripe.Error](err)
	giveUp := c.Overdue && ok && ofMethod(e) && !g.runs.Long(refusal(e)) && g.clock.Err() == nil
	if !stale(err) && !giveUp {
		return nil, domain.Outcome{}, g.failure("create", err)
	}
	// Or the key was used for another request (an edited event), or its first answer was a failure that Stripe repeats
	// for ever: in each case what exists must be found, and never a second one started.
	found, lookup := g.find(ctx, c.OrderID)
	switch {
	case lookup != nil || found != nil:
		return judged(found, lookup, c)
	case giveUp:
		return nil, domain.Outcome{Reason: domain.ReasonTimeout}, nil
	}
	return nil, domain.Outcome{}, g.failure("create", err)
}

// judged turns an intent that was found into an outcome when it is final, and refuses one that is not for this charge.
func judged(pi *stripe.PaymentIntent, err error, c domain.Charge) (*stripe.PaymentIntent, domain.Outcome, error) {
	if err != nil {
		return nil, domain.Outcome{}, err
	}
	if outcome, final := settled(pi); final {
		return nil, outcome, nil
	}
	if pi.Amount != c.Amount || !strings.EqualFold(string(pi.Currency), c.Currency) {
		return nil, domain.Outcome{}, fault.New(fault.Permanent, "gateway: intent %s of the order is for %d %s, not for %d %s",
			pi.ID, pi.Amount, strings.ToUpper(string(pi.Currency)), c.Amount, c.Currency)
	}
	return pi, domain.Outcome{}, nil
}

// cancel cancels an intent that may meanwhile be final. reason is what to say when it is canceled and was not declined before.
func (g *Stripe) cancel(ctx context.Context, c domain.Charge, id, reason string) (domain.Outcome, error) {
	params := &stripe.PaymentIntentCancelParams{}
	params.SetIdempotencyKey(c.EventID + ":cancel")
	pi, err := g.api.V1PaymentIntents.Cancel(ctx, id, params)
	if err == nil && pi.Status == stripe.PaymentIntentStatusCanceled {
		return domain.Outcome{IntentID: id, Reason: declineReason(pi.LastPaymentError, reason)}, nil
	}
	if err != nil && !stale(err) {
		return domain.Outcome{}, g.failure("cancel", err)
	}
	return decided(g.read(ctx, id))
}

// decided is the outcome of an intent that was read. One that is not final the gateway still works on, or it contradicts itself.
func decided(pi *stripe.PaymentIntent, err error) (domain.Outcome, error) {
	if err != nil {
		return domain.Outcome{}, err
	}
	outcome, final := settled(pi)
	switch {
	case final:
		return outcome, nil
	case pi.Status == stripe.PaymentIntentStatusRequiresCapture:
		return outcome, fault.New(fault.Permanent, "gateway: the account authorizes without capturing; a person must capture or cancel")
	}
	return outcome, fault.Defer(0, "gateway: the payment is still %s", pi.Status)
}

// read gets an intent as it is now.
func (g *Stripe) read(ctx context.Context, id string) (*stripe.PaymentIntent, error) {
	pi, err := g.api.V1PaymentIntents.Retrieve(ctx, id, &stripe.PaymentIntentRetrieveParams{})
	if err != nil {
		return nil, g.failure("read", err)
	}
	return pi, nil
}

// settled returns the outcome of an intent that is final.
func settled(pi *stripe.PaymentIntent) (o domain.Outcome, final bool) {
	switch {
	case pi.Status == stripe.PaymentIntentStatusSucceeded:
		return charged(pi), true
	case pi.Status == stripe.PaymentIntentStatusCanceled:
		// By the deadline, or by somebody at the gateway: either way nobody declined a card.
		return domain.Outcome{IntentID: pi.ID, Reason: declineReason(pi.LastPaymentError, domain.ReasonTimeout)}, true
	case pi.Status == stripe.PaymentIntentStatusRequiresPaymentMethod && pi.LastPaymentError != nil && ofCard(pi.LastPaymentError):
		return domain.Outcome{IntentID: pi.ID, Reason: declineReason(pi.LastPaymentError, "")}, true
	}
	return domain.Outcome{}, false
}

func charged(pi *stripe.PaymentIntent) domain.Outcome {
	return domain.Outcome{IntentID: pi.ID, Charged: true, Amount: pi.AmountReceived, Currency: strings.ToUpper(string(pi.Currency))}
}

// find looks an order's intent up and reads it; nil when there is none. Of several (somebody else's doing) the one that was
// charged counts, else the newest.
func (g *Stripe) find(ctx context.Context, orderID string) (*stripe.PaymentIntent, error) {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(orderID)
	params := &stripe.PaymentIntentSearchParams{}
	params.Query = "metadata['" + metadataOrder + "']:'" + quoted + "'"
	var first *stripe.PaymentIntent
	for pi, err := range g.api.V1PaymentIntents.Search(ctx, params) {
		if err != nil {
			return nil, g.failure("search", err)
		}
		// What a search returns may be out of date.
		now, err := g.read(ctx, pi.ID)
		if err != nil {
			return nil, err
		}
		if now.Status == stripe.PaymentIntentStatusSucceeded {
			return now, nil
		}
		if first == nil {
			first = now
		}
	}
	return first, nil
}
