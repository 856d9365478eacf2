package gateway

import (
	"context"
	"errors"

	"github.com/stripe/stripe-go/v84"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
)

// Refund gives the whole charge back, or finds out that this was done before, and returns the refund's id once the
// money is on its way for good. A refund that the gateway still works on is Deferred, as is one that the gateway does
// not take for a reason of ours: nobody waits for it at a deadline, and it must not take the room of those who want to
// pay. One that failed (a closed account, say) or was canceled is Permanent, since a second one must not be started
// without a person. It blocks for a few requests.
func (g *Stripe) Refund(ctx context.Context, r domain.Return) (string, error) {
	if r.KeysForgotten {
		if id, err := g.refunded(ctx, r); id != "" || err != nil {
			return id, err
		}
	}
	params := &stripe.RefundCreateParams{
		PaymentIntent: stripe.String(r.IntentID),
		Metadata:      map[string]string{metadataOrder: r.OrderID},
	}
	params.SetIdempotencyKey(r.EventID + ":refund")
	refund, err := g.api.V1Refunds.Create(ctx, params)
	if err == nil {
		g.standing.Accepted()
	}
	if err == nil && refund.Status == stripe.RefundStatusSucceeded && refund.Amount == r.Amount {
		return refund.ID, nil
	}
	if err != nil && !stale(err) {
		return "", g.refundFailure("refund", err)
	}
	id, lookup := g.refunded(ctx, r)
	switch {
	case id != "" || lookup != nil:
		return id, lookup
	case err != nil:
		return "", g.refundFailure("refund", err)
	}
	return "", fault.New(fault.Transient, "gateway: refund %s is made and not in the list of refunds", refund.ID)
}

// refunded looks up what was given back of an intent's charge. It returns the id of the first refund when all of the charge
// went back, which a person may have done in more than one step; "" when no refund was ever asked for.
func (g *Stripe) refunded(ctx context.Context, r domain.Return) (string, error) {
	params := &stripe.RefundListParams{PaymentIntent: stripe.String(r.IntentID)}
	var oldest string
	var back int64
	var unfinished *stripe.Refund
	for refund, err := range g.api.V1Refunds.List(ctx, params) {
		if err != nil {
			return "", g.refundFailure("list refunds", err)
		}
		if refund.Status == stripe.RefundStatusSucceeded {
			back += refund.Amount
			oldest = refund.ID // newest first
		} else if unfinished == nil || underway(refund) {
			unfinished = refund
		}
	}
	switch {
	case oldest != "" && back >= r.Amount:
		return oldest, nil
	case unfinished == nil && back == 0:
		return "", nil
	case unfinished != nil && underway(unfinished):
		return "", fault.Defer(0, "gateway: refund %s is still %s", unfinished.ID, unfinished.Status)
	case unfinished != nil:
		return "", fault.New(fault.Permanent, "gateway: refund %s is %s (%s)", unfinished.ID, unfinished.Status, unfinished.FailureReason)
	}
	return "", fault.New(fault.Permanent, "gateway: %d of %d went back, by refunds not made here", back, r.Amount)
}

// underway says that the gateway, or the customer, still works on a refund.
func underway(r *stripe.Refund) bool {
	return r.Status == stripe.RefundStatusPending || r.Status == stripe.RefundStatusRequiresAction
}

// refundFailure is failure for the steps of a refund: what an operator must put right, and a charge that is not known
// in the mode in which we ask, waits alone.
func (g *Stripe) refundFailure(step string, err error) error {
	e, ok := errors.AsType[*stripe.Error](err)
	failed := g.failure(step, err)
	if ok && (ours(e) || e.Code == stripe.ErrorCodeResourceMissing) {
		return fault.Defer(0, "%w", failed)
	}
	return failed
}
