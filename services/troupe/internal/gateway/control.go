package gateway

import (
	"math/rand/v2"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/switches"
)

// Control is how the simulator misbehaves on purpose. Its zero value is good behaviour. It is forgotten when the process ends.
type Control struct {
	switches.Timed
	// DeclinePercent of the charges that would succeed are declined (generic_decline). The same intent always is, or never.
	DeclinePercent int `json:"decline_percent" max:"100"`
	// RefusePercent of the orders are refused (400) when their payment intent is to be created: a mistake of the shop's that
	// nobody at the bank decides about. The same order always is, or never.
	RefusePercent int `json:"refuse_percent" max:"100"`
	// RefuseParameters answers 400 to every payment intent that is to be created, and blames a parameter that no
	// customer chose.
	RefuseParameters bool `json:"refuse_parameters"`
	// PendRefundsMS is for how many milliseconds a refund that is made is pending before it succeeds.
	PendRefundsMS int `json:"pend_refunds_ms" max:"600000"`
	// DelayMS is added to every request, in milliseconds.
	DelayMS int `json:"delay_ms" max:"60000"`
	// Outage answers every request with 503 and does nothing.
	Outage bool `json:"outage"`
	// FlapMS makes outages of so many milliseconds that alternate with as long without one; 0: none.
	FlapMS int `json:"flap_ms" max:"600000"`
	// LoseAnswersPercent of the requests that change something are executed, and their connection ends without an answer. A
	// request repeated with its key gets one.
	LoseAnswersPercent int `json:"lose_answers_percent" max:"100"`
	// DoubleChargeNext is how many of the next charges that succeed are taken twice, as no gateway may: a control for what must notice.
	DoubleChargeNext int `json:"double_charge_next" max:"1000"`
}

func (c Control) delay() time.Duration { return time.Duration(c.DelayMS) * time.Millisecond }

func (c Control) outAt(now time.Time) bool {
	return c.Outage || c.FlapMS > 0 && now.UnixMilli()/int64(c.FlapMS)%2 == 0
}

func (c Control) loses() bool { return rand.N(100) < c.LoseAnswersPercent }

// declines turns a payment method that would be charged into one that is declined, for some intents.
func (c Control) declines(intentID string, q quirks) quirks {
	if q.code == "" && !q.action && switches.Chosen(intentID, c.DeclinePercent) {
		return quirks{code: declined, declineCode: "generic_decline"}
	}
	return q
}

func (c Control) refuses(orderID string) bool { return switches.Chosen(orderID, c.RefusePercent) }
