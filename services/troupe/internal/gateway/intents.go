package gateway

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Bounds of an amount, in minor units; Stripe's least is 0.50 in most currencies.
const (
	minAmount = 50
	maxAmount = 99_999_999
)

// currencies are those that Stripe takes (docs.stripe.com/currencies), in small letters.
var currencies = strings.Fields(`
	aed afn all amd ang aoa ars aud awg azn bam bbd bdt bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk
	dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak
	lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd
	rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf
	yer zar zmw`)

func (s *Simulator) createIntent(p *params, _ string) (*operation, *apiError) {
	if e := checkMethod(p); e != nil {
		return nil, e
	}
	in := newIntent(p)
	return &operation{execute: func(now time.Time) (entry, *apiError) {
		wrong := s.control.Now()
		if wrong.refuses(in.orderID()) {
			return entry{}, refused("The simulator refuses this order, as its control says.")
		}
		if wrong.RefuseParameters {
			return entry{}, invalid("", "payment_method_types", "The simulator refuses this parameter, as its control says.")
		}
		in.Created = now
		return entry{Intent: in}, nil
	}}, nil
}

// newIntent reads one; p says what of it is wrong.
func newIntent(p *params) *intent {
	in := &intent{ID: newID("pi"), Amount: p.integer("amount"), Currency: strings.ToLower(p.get("currency")),
		Method: p.get("payment_method"), Metadata: p.metadata(), Status: requiresConfirmation}
	if in.Method == "" {
		in.Status = requiresPaymentMethod
	}
	switch {
	case p.get("amount") == "":
		p.refuse("parameter_missing", "amount", "Missing required param: amount.")
	case in.Amount < 1:
		p.refuse("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	case in.Amount < minAmount:
		p.refuse("amount_too_small", "amount", fmt.Sprintf("Amount must be at least %d, in minor units.", minAmount))
	case in.Amount > maxAmount:
		p.refuse("amount_too_large", "amount", fmt.Sprintf("Amount must be no more than %d, in minor units.", maxAmount))
	case in.Currency == "":
		p.refuse("parameter_missing", "currency", "Missing required param: currency.")
	case !slices.Contains(currencies, in.Currency):
		p.refuse("", "currency", "Invalid currency: "+in.Currency)
	}
	return in
}

func checkMethod(p *params) *apiError {
	m := p.get("payment_method")
	if m == "" {
		return nil
	}
	switch q, ok := quirksOf(m); {
	case !ok:
		return missing("PaymentMethod", "payment_method", m)
	case q.refused:
		return refused("The simulator refuses this payment method, whoever asks.")
	}
	return nil
}

func (s *Simulator) confirmIntent(p *params, id string) (*operation, *apiError) {
	if e := checkMethod(p); e != nil {
		return nil, e
	}
	refuseAction := p.boolean("error_on_requires_action")
	in := s.intent(id)
	if in == nil {
		return nil, missing("payment_intent", "intent", id)
	}
	method := cmp.Or(p.get("payment_method"), in.Method)
	q, _ := quirksOf(method) // none when no method is given at all, which execute refuses
	return &operation{quirks: q, execute: func(now time.Time) (entry, *apiError) {
		in := s.book.intents[id].as(now)
		switch {
		case in.Status != requiresConfirmation && in.Status != requiresPaymentMethod:
			return unexpectedState(in, "confirm"), nil
		case method == "":
			return entry{}, invalid("payment_intent_unexpected_state", "payment_method", "The payment intent needs a payment method.")
		}
		wrong := s.control.Now()
		e := in.confirm(method, wrong.declines(in.ID, q), refuseAction, now)
		if wrong.DoubleChargeNext > 0 && e.Intent.Status == succeeded {
			// It may have been set anew meanwhile.
			s.control.Update(func(c *Control) { c.DoubleChargeNext = max(0, c.DoubleChargeNext-1) })
			e.Intent.chargeAgain()
		}
		return e, nil
	}}, nil
}

// confirm tries to take the money.
func (i *intent) confirm(method string, q quirks, refuseAction bool, now time.Time) entry {
	next := *i
	next.Method = method
	c := Charge{ID: newID("ch"), Amount: i.Amount, Method: method, At: now, Status: succeeded}
	e := entry{Intent: &next}
	switch {
	case q.action && !refuseAction:
		next.Status = requiresAction
		return e
	case q.action:
		q.code, q.declineCode = "authentication_required", "authentication_required"
		fallthrough
	case q.code != "":
		c.Status, c.Reason = failed, q.declineCode
		next.Status, next.Method = requiresPaymentMethod, ""
		next.LastError = &apiError{Status: http.StatusPaymentRequired, Type: typeCard, Code: q.code, DeclineCode: q.declineCode,
			Charge: c.ID, Message: "Your card was declined."}
		e.Answer = &answer{Error: next.LastError}
	case q.settles > 0:
		c.Status = pending
		next.Status, next.SettlesAt, next.LastError = processing, now.Add(q.settles), nil
	default:
		next.Status, next.LastError = succeeded, nil
	}
	if q.broken {
		e.Answer = &answer{Error: &apiError{Status: http.StatusInternalServerError, Type: typeAPI, Message: "Something went wrong."}}
	}
	next.Charges = append(slices.Clone(i.Charges), c)
	return e
}

// chargeAgain takes the money once more, which nobody asked for.
func (i *intent) chargeAgain() {
	again := i.Charges[len(i.Charges)-1]
	again.ID = newID("ch")
	i.Charges = append(i.Charges, again)
}

func (s *Simulator) cancelIntent(_ *params, id string) (*operation, *apiError) {
	if s.intent(id) == nil {
		return nil, missing("payment_intent", "intent", id)
	}
	return &operation{execute: func(now time.Time) (entry, *apiError) {
		in := s.book.intents[id].as(now)
		if !slices.Contains([]string{requiresPaymentMethod, requiresConfirmation, requiresAction}, in.Status) {
			return unexpectedState(in, "cancel"), nil
		}
		next := *in
		next.Status, next.CanceledAt = canceled, now
		return entry{Intent: &next}, nil
	}}, nil
}

// unexpectedState is an answer that is remembered for its key, as Stripe remembers every answer of a request that was begun.
func unexpectedState(in *intent, step string) entry {
	return entry{Intent: in, Answer: &answer{Error: invalid("payment_intent_unexpected_state", "",
		fmt.Sprintf("You cannot %s this PaymentIntent because it has a status of %s.", step, in.Status))}}
}

// intent returns an intent as it is now, or nil.
func (s *Simulator) intent(id string) *intent {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.book.intents[id]
	if in == nil {
		return nil
	}
	return in.as(s.now())
}
