package main

import "github.com/troupe-dev/troupe/schemas/check"

// parking: one event that cannot be answered.
var parking = []Control{
	{
		ID: "parked-without-the-chain", Without: "what comes behind a dead letter is answered", Breaks: oneOrder,
		Schedules: 2,
		Proof:     Proof{behindALetter, []check.Guarantee{check.Misordered}},
		Edits: []Edit{{"pkg/participant/queue.go", `	if len(o.Parked) > 0 {
		park(t, o, d, nil)
		return
	}
`, ``}},
	},
	{
		ID: "parked-is-seen", Without: "a parked event is marked as seen", Breaks: nothingLost,
		Schedules: 5,
		Proof:     Proof{redriven, []check.Guarantee{check.Stuck}},
		Edits: []Edit{{"pkg/participant/parking.go", `	o.Park(id, d.topic(), rec.RetryAt)
	if d.in`, `	o.Park(id, d.topic(), rec.RetryAt)
	o.Answered(id)
	if d.in`}},
	},
	{
		ID: "unreadable-is-passed", Without: "a batch that cannot be read is passed without a word", Breaks: nothingLost,
		Unseen: onTheWire,
		Proof:  Proof{larger, []check.Guarantee{check.Lost}},
		Edits: []Edit{{"pkg/broker/decode.go", `				records = append(records, unreadable(from, &b, err))
`, ``}},
	},
	{
		ID: "letters-are-whole", Without: "a letter holds its event however large it is", Breaks: oneOrder,
		Unseen: onTheWire,
		Proof:  Proof{larger, []check.Guarantee{check.Stuck}},
		Edits: []Edit{
			{"pkg/deadletter/reference.go", `<= MaxWhole && (`, `>= 0 || (`},
			{"pkg/participant/publish.go", `if errors.Is(err, broker.ErrTooLarge) {`, `if errors.Is(err, broker.ErrTooLarge) && false {`},
		},
	},
	{
		ID: "letters-are-not-folded", Without: "the fold does not read the dead letters", Breaks: disposable,
		Schedules: 89,
		Unproven:  bySimulation,
		Edits:     []Edit{{"pkg/participant/restore.go", `[]string{c.b.facts, c.b.letters}`, `[]string{c.b.facts}`}},
	},
	{
		ID: "outage-is-parked", Without: "what an outage stops becomes a dead letter", Breaks: oneOrder,
		Schedules: 223,
		Unproven:  bySimulation,
		Edits:     []Edit{{"pkg/participant/react.go", `case fault.Unavailable:`, `case fault.Class(99):`}},
	},
	{
		ID: "put-off-is-an-outage", Without: "a mail that is put off keeps its order's queue", Breaks: oneOrder,
		Proof: Proof{putOff, []check.Guarantee{check.Stuck}},
		Edits: []Edit{{"services/notification/internal/mail/smtp.go", `return fault.Defer(0, "mail server: %s: %w", step, errors`,
			`return fault.New(fault.Unavailable, "mail server: %s: %w", step, errors`}},
		Unseen: inService,
	},
	{
		ID: "pending-is-an-outage", Without: "a refund that is pending keeps its order's queue", Breaks: oneOrder,
		Proof: Proof{refundsPend, []check.Guarantee{check.Stuck}},
		Edits: []Edit{{"services/payment/internal/gateway/refund.go", `fault.Defer(0, "gateway: refund %s is still %s"`,
			`fault.New(fault.Unavailable, "gateway: refund %s is still %s"`}},
		Unseen: inService,
	},
	{
		ID: "held-is-not-tried-again", Without: "an event that waits for its cause is not tried when the cause came", Breaks: nothingLost,
		Schedules: 3,
		Unproven:  bySimulation,
		Edits:     []Edit{{"pkg/participant/partition.go", `clear(o.queue.held)`, `_ = o`}},
	},
}

// folding: the store again from the log.
var folding = []Control{
	{
		ID: "old-fold-kept", Without: "what older code folded is kept", Breaks: disposable,
		Schedules: 64,
		Proof:     Proof{foldedByOthers, []check.Guarantee{check.Lost}},
		Edits:     []Edit{{"pkg/participant/handler.go", `return version == h.b.foldVersion`, `return version != ""`}},
	},
	{
		ID: "fold-takes-every-fact", Without: "the fold takes facts that are not the next of their order", Breaks: inOrder,
		Schedules: 68,
		Unproven:  bySimulation,
		Edits:     []Edit{{"pkg/participant/fold.go", `if !o.Own().Precedes(orders.LinkOf(e)) {`, `if false {`}},
	},
	{
		ID: "causes-are-not-seen", Without: "the fold does not mark what the facts answer", Breaks: nothingTwice,
		Schedules: 3,
		Unproven:  bySimulation,
		Edits:     []Edit{{"pkg/participant/fold.go", `answeredInLog(t, o, r, e.CausationID)`, `_ = r`}},
	},
	{
		ID: "timers-are-not-armed", Without: "the fold sets no deadlines", Breaks: disposable,
		Schedules: 79,
		Unproven:  bySimulation,
		Edits: []Edit{{"pkg/participant/fold.go", `	t.arm(o)
`, ``}},
	},
}

// doors: what the services themselves guard.
var doors = []Control{
	{
		ID: "gateway-without-key", Without: "the gateway is asked without an idempotency key", Breaks: nothingTwice,
		Proof: Proof{chargedAndDead(false), []check.Guarantee{check.ChargedTwice}},
		Edits: []Edit{
			{"services/payment/internal/gateway/charge.go", `	params.SetIdempotencyKey(c.EventID + ":create")
`, ``},
			{"services/payment/internal/gateway/charge.go", `	params.SetIdempotencyKey(key)
`, `	_ = key
`},
		},
		Unseen: inService,
	},
	{
		ID: "deadline-skips-the-charge", Without: "after the deadline a payment is declined without asking for a charge", Breaks: nothingLost,
		Proof: Proof{chargedAndDead(true), []check.Guarantee{check.Lost}},
		Edits: []Edit{{"services/payment/behavior.go", `		ask = r.gateway.Abandon
`, `		return toBody(domain.PaymentDeclined{Reason: domain.ReasonTimeout}), nil
`}},
		Unseen: inService,
	},
	{
		ID: "deadline-is-a-decline", Without: "a payment that was not tried in time is told as a declined one", Breaks: toldRight,
		Proof:  Proof{oversleeps, []check.Guarantee{check.Choreography}},
		Edits:  []Edit{{"services/order/behavior.go", `GetReason() == paymentTimeout`, `GetReason() == ""`}},
		Unseen: inService,
	},
	{
		ID: "our-mistake-is-a-decline", Without: "what the gateway says about the shop is told as a declined card", Breaks: toldRight,
		Proof:  Proof{refusedForOurs, []check.Guarantee{check.Choreography}},
		Edits:  []Edit{{"services/payment/internal/gateway/errors.go", `case ofMethod(e) && g.takesOthers():`, `case ofMethod(e) || ours(e):`}},
		Unseen: inService,
	},
	{
		ID: "projection-without-sections", Without: "the topics of an order share one chain", Breaks: readRight,
		Proof:  Proof{everyday, []check.Guarantee{check.ReadModel}},
		Edits:  []Edit{{"pkg/projection/order.go", `c := &o.Chains[source]`, `c := &o.Chains[0]`}},
		Unseen: inProjection,
	},
	{
		// Documents stay right: what is counted of an order is not.
		ID: "counted-by-the-step", Without: "what is counted of an order depends on how many of its facts were read at once", Breaks: readRight,
		Proof:  Proof{foldedAnew, []check.Guarantee{check.ReadModel}},
		Edits:  []Edit{{"pkg/projection/fold.go", `if o != nil && !o.changed {`, `if o != nil {`}},
		Unseen: inProjection,
	},
}

const (
	inService = "the service's own code: the simulation plays the engine with participants of its own"
	onTheWire = "what a broker's answers hold, and what it refuses: the simulation's log is in memory"
	// bySimulation: the proof aims at the guards that the promises name.
	bySimulation = "left to the simulation"
	inProjection = "the projection's: pkg/projection has schedules of its own"
)
