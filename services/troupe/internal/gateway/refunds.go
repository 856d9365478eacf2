package gateway

import (
	"fmt"
	"slices"
	"time"
)

func (s *Simulator) createRefund(p *params, _ string) (*operation, *apiError) {
	id := p.get("payment_intent")
	if id == "" {
		return nil, invalid("parameter_missing", "payment_intent", "Missing required param: payment_intent.")
	}
	if s.intent(id) == nil {
		return nil, missing("payment_intent", "payment_intent", id)
	}
	amount, metadata := p.integer("amount"), p.metadata()
	if p.get("amount") != "" && (amount < 1 || amount > maxAmount) {
		p.refuse("", "amount", fmt.Sprintf("Amount must be from 1 to %d.", maxAmount))
	}
	return &operation{execute: func(now time.Time) (entry, *apiError) {
		re := &refund{ID: newID("re"), Intent: id, Amount: amount, Metadata: metadata, Created: now}
		if ms := s.control.Now().PendRefundsMS; ms > 0 {
			re.SettlesAt = now.Add(time.Duration(ms) * time.Millisecond)
		}
		return s.book.giveBack(re), nil
	}}, nil
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

// listRefunds answers with all refunds of an intent, the newest first.
func (s *Simulator) listRefunds(q *params, _ string, now time.Time) (any, *apiError) {
	id := q.get("payment_intent")
	if s.book.intents[id] == nil {
		return nil, missing("payment_intent", "payment_intent", id)
	}
	l := listing{Object: "list", URL: "/v1/refunds", Data: []any{}}
	for _, id := range slices.Backward(s.book.ofIntent[id]) {
		l.Data = append(l.Data, s.book.refunds[id].view(now))
	}
	return l, nil
}
