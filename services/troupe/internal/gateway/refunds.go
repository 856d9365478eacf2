package gateway

import (
	"net/http"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

func (s *Simulator) createRefund(w http.ResponseWriter, r *http.Request) {
	p, e := readParams(w, r, "payment_intent", "amount", "reason", "metadata[]")
	id := p.get("payment_intent")
	if e == nil && id == "" {
		e = invalid("parameter_missing", "payment_intent", "Missing required param: payment_intent.")
	}
	if e == nil && s.intent(id) == nil {
		e = missing("payment_intent", "payment_intent", id)
	}
	var amount int64
	if e == nil {
		amount, e = p.integer("amount", 1, maxAmount, 0)
	}
	if why := p.get("reason"); e == nil && why != "" && !slices.Contains([]string{"duplicate", "fraudulent", "requested_by_customer"}, why) {
		e = invalid("", "reason", "Invalid reason: "+why)
	}
	var metadata map[string]string
	if e == nil {
		metadata, e = p.metadata()
	}
	if e != nil {
		fail(w, e)
		return
	}
	s.change(w, r, p, operation{execute: func(now time.Time) (entry, *apiError) {
		re := &refund{ID: newID("re"), Intent: id, Amount: amount, Reason: p.get("reason"), Metadata: metadata, Created: now}
		if ms := s.control.PendRefundsMS; ms > 0 {
			re.SettlesAt = now.Add(time.Duration(ms) * time.Millisecond)
		}
		return s.book.giveBack(re), nil
	}})
}

// giveBack fills a refund in, of all that is left when it names no amount. Its errors are remembered for the key.
func (b *book) giveBack(re *refund) entry {
	in := b.intents[re.Intent].as(re.Created)
	paid := in.paid()
	if paid == nil {
		return entry{Answer: &answer{Error: invalid("payment_intent_unexpected_state", "",
			"This PaymentIntent does not have a successful charge to refund.")}}
	}
	left := paid.Amount
	for _, id := range b.ofIntent[in.ID] {
		left -= b.refunds[id].Amount
	}
	switch {
	case left == 0:
		return entry{Answer: &answer{Error: invalid("charge_already_refunded", "", "Charge "+paid.ID+" has already been refunded.")}}
	case re.Amount > left:
		return entry{Answer: &answer{Error: invalid("", "amount", "Refund amount is greater than the unrefunded amount on the charge.")}}
	case re.Amount == 0:
		re.Amount = left
	}
	re.Charge, re.Currency = paid.ID, in.Currency
	if q, _ := quirksOf(paid.Method); q.refundSettles > 0 { // was charged, so it is known
		re.SettlesAt = re.Created.Add(q.refundSettles)
	}
	return entry{Refund: re}
}

func (s *Simulator) listRefunds(w http.ResponseWriter, r *http.Request) {
	s.read(w, func(now time.Time) (any, *apiError) {
		p, e := readQuery(r, "payment_intent", "limit", "starting_after")
		if e != nil {
			return nil, e
		}
		limit, e := p.integer("limit", 1, maxPage, defaultPage)
		if e != nil {
			return nil, e
		}
		ids := s.book.made
		if id := p.get("payment_intent"); id != "" {
			if s.book.intents[id] == nil {
				return nil, missing("payment_intent", "payment_intent", id)
			}
			ids = s.book.ofIntent[id]
		}
		return newest("/v1/refunds", ids, p.get("starting_after"), limit,
			func(id string) any { return s.book.refunds[id].view(now) })
	})
}

func (s *Simulator) getRefund(w http.ResponseWriter, r *http.Request) {
	s.read(w, func(now time.Time) (any, *apiError) {
		if _, e := readQuery(r); e != nil {
			return nil, e
		}
		id := httpdoor.Param(r, "id")
		if re := s.book.refunds[id]; re != nil {
			return re.view(now), nil
		}
		return nil, missing("refund", "refund", id)
	})
}
