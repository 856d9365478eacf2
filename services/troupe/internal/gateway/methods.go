package gateway

import (
	"regexp"
	"strconv"
	"time"
)

// quirks are what a test payment method is for. The zero value is a card that is charged at once.
type quirks struct {
	code, declineCode string        // declined with these
	action            bool          // the customer would have to be asked
	slow              time.Duration // confirming takes so long
	settles           time.Duration // the charge is processing for so long, then succeeds
	refundSettles     time.Duration // a refund is pending for so long, then succeeds
	outage            bool          // confirming is answered 503 and does nothing
	refused           bool          // every request that names it is refused for good, for a reason that is not the card's
	silent            time.Duration // charged; the first answer does not come, and the connection ends after so long
	drop              bool          // charged; the connection ends instead of the first answer
	broken            bool          // charged; the answer is 500, and stays so for the key
}

const declined = "card_declined"

// methods are Stripe's test payment methods that matter here, and the simulator's own (pm_sim_…).
var methods = map[string]quirks{
	"pm_card_visa":            {},
	"pm_card_visa_debit":      {},
	"pm_card_mastercard":      {},
	"pm_card_amex":            {},
	"pm_card_discover":        {},
	"pm_card_pendingRefund":   {refundSettles: 2 * time.Second},
	"pm_sim_timeout_once":     {silent: time.Minute},
	"pm_sim_lost_answer_once": {drop: true},
	"pm_sim_error":            {broken: true},
	"pm_sim_outage":           {outage: true},
	"pm_sim_refused":          {refused: true},

	"pm_card_authenticationRequired":         {action: true},
	"pm_card_threeDSecureRequired":           {action: true},
	"pm_card_chargeDeclined":                 {code: declined, declineCode: "generic_decline"},
	"pm_card_visa_chargeDeclined":            {code: declined, declineCode: "generic_decline"},
	"pm_card_chargeDeclinedLostCard":         {code: declined, declineCode: "lost_card"},
	"pm_card_chargeDeclinedStolenCard":       {code: declined, declineCode: "stolen_card"},
	"pm_card_chargeDeclinedFraudulent":       {code: declined, declineCode: "fraudulent"},
	"pm_card_chargeDeclinedExpiredCard":      {code: "expired_card", declineCode: "expired_card"},
	"pm_card_chargeDeclinedIncorrectCvc":     {code: "incorrect_cvc", declineCode: "incorrect_cvc"},
	"pm_card_chargeDeclinedProcessingError":  {code: "processing_error", declineCode: "processing_error"},
	"pm_card_visa_chargeDeclinedLostCard":    {code: declined, declineCode: "lost_card"},
	"pm_card_visa_chargeDeclinedExpiredCard": {code: "expired_card", declineCode: "expired_card"},

	"pm_card_chargeDeclinedInsufficientFunds":      {code: declined, declineCode: "insufficient_funds"},
	"pm_card_visa_chargeDeclinedInsufficientFunds": {code: declined, declineCode: "insufficient_funds"},
}

// timedMethod is pm_sim_slow_2s or pm_sim_processing_2s, from 1 to 60 seconds.
var timedMethod = regexp.MustCompile(`^pm_sim_(slow|processing)_([1-9]|[1-5][0-9]|60)s$`)

// quirksOf returns what a payment method does; ok is false when there is none of that name.
func quirksOf(method string) (q quirks, ok bool) {
	if q, ok = methods[method]; ok {
		return q, true
	}
	m := timedMethod.FindStringSubmatch(method)
	if m == nil {
		return quirks{}, false
	}
	seconds, _ := strconv.Atoi(m[2]) // digits by the expression
	d := time.Duration(seconds) * time.Second
	if m[1] == "slow" {
		return quirks{slow: d}, true
	}
	return quirks{settles: d}, true
}
