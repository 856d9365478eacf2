package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/stripe/stripe-go/v84"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
)

// declined returns the reason when the gateway has declined this customer's card, does not take this order's amount, or
// knows nothing of this one payment method while it takes others; "" for everything else. Nothing else is the
// customer's to hear: see failure.
func (g *Stripe) declined(err error, c domain.Charge) string {
	e, ok := errors.AsType[*stripe.Error](err)
	if !ok || passing(e) || stale(err) {
		return ""
	}
	g.runs.Add(refusal(e), c.CustomerID)
	switch {
	case ofCard(e):
		return declineReason(e, "")
	case ofAmount(e):
		return cmp.Or(string(e.Code), "invalid_amount")
	case g.runs.Long(refusal(e)):
		return "" // no chance, and so not of this customer's payment method
	case ofMethod(e) && g.standing.TakesOthers():
		return cmp.Or(string(e.Code), "invalid_"+e.Param)
	}
	return ""
}

// refusal names what an error is about, for runs.
func refusal(e *stripe.Error) string {
	return cmp.Or(string(e.DeclineCode), string(e.Code), e.Param, string(e.Type))
}

// testModeLiveCard is said of every real card that is charged with a test key.
const testModeLiveCard = "test_mode_live_card"

// cardCodes are about the card whatever the type of the error is.
var cardCodes = []stripe.ErrorCode{
	stripe.ErrorCodePaymentIntentAuthenticationFailure, stripe.ErrorCodePaymentIntentPaymentAttemptFailed,
	stripe.ErrorCodePaymentMethodCustomerDecline, stripe.ErrorCodePaymentMethodProviderDecline,
}

// ofCard says that an error is the word of the customer's bank, or of the gateway about the customer's card.
func ofCard(e *stripe.Error) bool {
	return !testKey(e) && (e.Type == stripe.ErrorTypeCard || slices.Contains(cardCodes, e.Code))
}

func testKey(e *stripe.Error) bool {
	return e.Code == testModeLiveCard || e.DeclineCode == testModeLiveCard
}

// amountCodes are about the amount, whatever parameter is named.
var amountCodes = []stripe.ErrorCode{
	stripe.ErrorCodeAmountTooSmall, stripe.ErrorCodeAmountTooLarge, stripe.ErrorCodeInvalidChargeAmount,
}

// ofAmount says that an error is about the order's amount: below the gateway's least, above its most, or, in a currency
// of three decimals, not divisible by ten (docs.stripe.com/currencies).
func ofAmount(e *stripe.Error) bool {
	named := e.Param == "amount" || slices.Contains(amountCodes, e.Code)
	return e.Type == stripe.ErrorTypeInvalidRequest && named && !ours(e)
}

// ofMethod says that an error is about the payment method that the customer named, which may be at fault or only
// unknown in the mode in which we ask.
func ofMethod(e *stripe.Error) bool {
	return e.Type == stripe.ErrorTypeInvalidRequest && e.Param == "payment_method" && !ours(e)
}

// ourCodes are about our account, key, mode or parameters, whatever parameter they name.
var ourCodes = []stripe.ErrorCode{
	stripe.ErrorCodeAPIKeyExpired, stripe.ErrorCodePlatformAPIKeyExpired, stripe.ErrorCodeSecretKeyRequired,
	stripe.ErrorCodeAccountInvalid, stripe.ErrorCodeAccountClosed, stripe.ErrorCodeCountryUnsupported,
	stripe.ErrorCodeNotAllowedOnStandardAccount, stripe.ErrorCodePlatformAccountRequired, stripe.ErrorCodeTLSVersionUnsupported,
	stripe.ErrorCodeLivemodeMismatch, stripe.ErrorCodeTestmodeChargesOnly, stripe.ErrorCodePaymentMethodInvalidParameterTestmode,
	stripe.ErrorCodePaymentMethodUnactivated, stripe.ErrorCodePaymentMethodConfigurationFailures,
	stripe.ErrorCodeParameterUnknown, stripe.ErrorCodeParameterMissing, stripe.ErrorCodeParameterInvalidEmpty,
	stripe.ErrorCodeParametersExclusive,
}

// ordersOwn are the parameters whose value comes with the order; every other one is the same for all.
var ordersOwn = []string{"", "amount", "currency", "payment_method", "intent", "payment_intent"}

// ours says that an error is about us and not about this order: every order meets it until an operator has seen to it.
func ours(e *stripe.Error) bool {
	switch {
	case e.HTTPStatusCode == http.StatusUnauthorized || e.HTTPStatusCode == http.StatusForbidden || testKey(e):
		return true
	case e.Type != stripe.ErrorTypeInvalidRequest || e.HTTPStatusCode != http.StatusBadRequest && e.HTTPStatusCode != http.StatusNotFound:
		return false
	}
	nothingThere := e.HTTPStatusCode == http.StatusNotFound && e.Code == "" // no such API at PAYMENT_GATEWAY_URL
	return nothingThere || slices.Contains(ourCodes, e.Code) || !slices.Contains(ordersOwn, e.Param)
}

// declineReason is the reason of an intent whose last attempt was declined, or otherwise when none was.
func declineReason(e *stripe.Error, otherwise string) string {
	if e == nil || !ofCard(e) {
		return otherwise
	}
	return cmp.Or(string(e.DeclineCode), string(e.Code), "card_declined")
}

// stale reports an answer from which only reading what exists leads on: the intent is in another state than the step needs, or its
// charge went back already; the key belongs to another request; or the answer repeats a failure whose outcome was unknown, and will
// for as long as the gateway remembers the key.
func stale(err error) bool {
	e, ok := errors.AsType[*stripe.Error](err)
	return ok && (e.Code == stripe.ErrorCodePaymentIntentUnexpectedState || e.Code == stripe.ErrorCodeChargeAlreadyRefunded ||
		e.Type == stripe.ErrorTypeIdempotency && e.HTTPStatusCode == http.StatusBadRequest || replayed(e))
}

// passing says that the gateway has not looked at what was asked: it is out of order, too busy, or busy with the same
// request.
func passing(e *stripe.Error) bool {
	busy := []int{http.StatusConflict, http.StatusTooManyRequests, http.StatusRequestTimeout}
	return e.HTTPStatusCode >= 500 || slices.Contains(busy, e.HTTPStatusCode) || e.Code == stripe.ErrorCodePaymentMethodNotAvailable
}

// replayed says that an answer is a failure which the gateway remembers for the key, for a day.
func replayed(e *stripe.Error) bool {
	return e.HTTPStatusCode >= 500 && e.LastResponse != nil && e.LastResponse.Header.Get("Idempotent-Replayed") == "true"
}

// failure gives an error of the gateway its class. The text holds no body and no parameters.
//   - Unavailable: an outage; or our account, key, mode or parameters, which every order meets. That is loud, and waits for an operator.
//   - Deferred: this order alone, and it may come right by itself: a payment method that is unknown while nobody's is known to work, a
//     failure that is remembered for the key, a refund for which our balance does not reach.
//   - Permanent: this order alone, and a person must look: a currency that our API takes and the gateway does not, or a
//     refusal that names nothing.
func (g *Stripe) failure(step string, err error) error {
	e, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		// Not an answer of the API: no connection, a time-out, a proxy's page.
		return fault.New(fault.Unavailable, "gateway: %s: outcome unknown: %w", step, err)
	}
	why := fmt.Sprintf("HTTP %d, code %q, param %q", e.HTTPStatusCode, e.Code, e.Param) // nothing of a request
	class := fault.Permanent
	switch {
	case ours(e):
		g.standing.Refused(why)
		class = fault.Unavailable
	case replayed(e):
		class = fault.Deferred
	case passing(e):
		class = fault.Unavailable
	case e.Type == stripe.ErrorTypeIdempotency:
		class = fault.Transient
	case ofMethod(e):
		if g.runs.Long(refusal(e)) {
			g.standing.Refused(why)
		}
		class = fault.Deferred
	case e.Code == stripe.ErrorCodeBalanceInsufficient:
		class = fault.Deferred
	}
	return fault.New(class, "gateway: %s: HTTP %d, type %q, code %q, param %q, request %q: %s",
		step, e.HTTPStatusCode, e.Type, e.Code, e.Param, e.RequestID, e.Msg)
}
