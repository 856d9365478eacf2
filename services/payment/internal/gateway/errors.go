package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v84"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// accountLogEvery bounds how often a refused account is logged: every waiting order meets it.
const accountLogEvery = 30 * time.Second

func code(err error) stripe.ErrorCode {
	if e, ok := errors.AsType[*stripe.Error](err); ok {
		return e.Code
	}
	return ""
}

// refusal returns the reason when the gateway answered that it will not take this payment, whoever asks and however often: a
// declined card, or an amount, currency or payment method that it does not accept. "" for everything else.
func refusal(err error) string {
	e, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		return ""
	}
	switch {
	case e.HTTPStatusCode == http.StatusPaymentRequired && e.Type == stripe.ErrorTypeCard:
		return cmp.Or(string(e.DeclineCode), string(e.Code), "card_declined")
	case e.Type == stripe.ErrorTypeInvalidRequest && refusable(e.Param) &&
		(e.HTTPStatusCode == http.StatusBadRequest || e.HTTPStatusCode == http.StatusNotFound):
		return cmp.Or(string(e.Code), "invalid_"+e.Param)
	default:
		return ""
	}
}

func refusable(param string) bool {
	return param == "amount" || param == "currency" || strings.HasPrefix(param, "payment_method")
}

// declineReason is the reason of an intent whose last attempt failed, or otherwise when there was no attempt.
func declineReason(e *stripe.Error, otherwise string) string {
	if e == nil {
		return otherwise
	}
	return cmp.Or(string(e.DeclineCode), string(e.Code), "card_declined")
}

// stale reports an answer from which only reading what exists leads on: the intent is in another state than the step needs; the
// key belongs to another request; or the answer repeats a failure whose outcome was unknown, and will for as long as the
// gateway remembers the key.
func stale(err error) bool {
	e, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		return false
	}
	switch {
	case e.Code == stripe.ErrorCodePaymentIntentUnexpectedState:
		return true
	case e.Type == stripe.ErrorTypeIdempotency && e.HTTPStatusCode == http.StatusBadRequest:
		return true
	case e.HTTPStatusCode >= 500:
		return e.LastResponse != nil && e.LastResponse.Header.Get("Idempotent-Replayed") == "true"
	default:
		return false
	}
}

// failure gives an error of the gateway its class. The text holds no body and no parameters.
func (g *Stripe) failure(ctx context.Context, step string, err error) error {
	e, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		// Not an answer of the API: no connection, a time-out, a proxy's page.
		return fault.New(fault.Unavailable, "gateway: %s: outcome unknown: %w", step, err)
	}
	class := fault.Permanent
	switch status := e.HTTPStatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		// Not the order's fault: it waits until an operator has put the account right.
		g.refused(ctx, status)
		class = fault.Unavailable
	case status >= 500 || status == http.StatusConflict || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		class = fault.Unavailable
	case e.Type == stripe.ErrorTypeIdempotency:
		class = fault.Transient
	}
	return fault.New(class, "gateway: %s: HTTP %d, type %q, code %q, param %q, request %q: %s",
		step, e.HTTPStatusCode, e.Type, e.Code, e.Param, e.RequestID, e.Msg)
}

func (g *Stripe) refused(ctx context.Context, status int) {
	now, last := time.Now(), g.refusedAt.Load()
	if now.Sub(time.Unix(0, last)) < accountLogEvery || !g.refusedAt.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	slog.ErrorContext(ctx, "the payment gateway refuses this account: payments wait until PAYMENT_GATEWAY_KEY is right", "status", status)
}
