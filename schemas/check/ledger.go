package check

import (
	"slices"
	"time"
)

// Ledger is what the gateway says, by order.
type Ledger struct {
	Orders map[string]LedgerOrder `json:"orders"`
}

// LedgerOrder is what the gateway knows of one order, oldest first.
type LedgerOrder struct {
	Intents []Intent `json:"intents"`
}

// Intent is one payment; its charges are attempts, of which those with another status than failed took money or may
// still.
type Intent struct {
	Created time.Time `json:"created"`
	Charges []Moved   `json:"charges"`
	Refunds []Moved   `json:"refunds"`
}

// Moved is money that moved, or failed to, in minor units.
type Moved struct {
	Status string    `json:"status"`
	Amount int64     `json:"amount"`
	At     time.Time `json:"at"`
}

// Money that moved for an order, amounts in minor units.
type Money struct {
	Charges, Declines, Refunds int
	Charged, Refunded          int64
}

// Money adds up. What has not failed may still succeed, and counts.
func (o LedgerOrder) Money() (m Money) {
	for _, in := range o.Intents {
		for _, c := range in.Charges {
			if c.Status == "failed" {
				m.Declines++
				continue
			}
			m.Charges++
			m.Charged += c.Amount
		}
		for _, r := range in.Refunds {
			m.Refunds++
			m.Refunded += r.Amount
		}
	}
	return m
}

// ledger checks that money moved exactly as the log says: one charge per paid order, one refund per cancelled paid
// order.
func (k *Checker) ledger(r *Report, ledger Ledger, expected map[string]Expected, parked map[string]bool) {
	for id, l := range ledger.Orders {
		m := l.Money()
		r.Charges, r.Declines, r.Refunds = r.Charges+m.Charges, r.Declines+m.Declines, r.Refunds+m.Refunds
		if _, ok := expected[id]; !ok {
			r.add(strangeMoney.violation(id, "is in the ledger, but nobody was promised it"))
		}
		k.Order(id).moneyInOrder(r, l)
	}
	for id, e := range expected {
		o, m := k.Order(id), ledger.Orders[id].Money()
		r.ChargesPerOrder[m.Charges]++
		if m.Charges > 0 && len(o.know().facts.cancelled) > 0 {
			r.RefundsPerCancelled[m.Refunds]++
		}
		r.add(m.twice(id)...)
		if !parked[id] {
			r.add(o.money(m, e.Total)...)
		}
	}
}

func (m Money) twice(id string) (found []Violation) {
	if m.Charges > 1 {
		found = append(found, chargedTwice.violation(id, "the ledger has %d charges", m.Charges))
	}
	if m.Refunds > 1 {
		found = append(found, refundedTwice.violation(id, "the ledger has %d refunds", m.Refunds))
	}
	return found
}

// compared is one kind of money: how often and how much, says the ledger, and how often, says the log.
type compared struct {
	what       string
	more, less Rule // the ledger, or the log, says more
	times      int
	sum        int64
	log        int
}

func (o *Order) compare(m Money) [2]compared {
	f := o.know().facts
	return [2]compared{
		{"charges", unknownCharge, noCharge, m.Charges, m.Charged, len(f.succeeded)},
		{"refunds", unknownRefund, noRefund, m.Refunds, m.Refunded, len(f.refunded)},
	}
}

func (c compared) violation(r Rule, id string, total int64) Violation {
	return r.violation(id, "the ledger has %d %s over %d, the log %d over %d", c.times, c.what, c.sum, c.log, total)
}

// money holds the ledger against the log at rest. What only the ledger knows of will never be undone; what only the log
// knows of is a contradiction.
func (o *Order) money(m Money, total int64) (found []Violation) {
	for _, c := range o.compare(m) {
		switch {
		case c.times > c.log:
			found = append(found, c.violation(c.more, o.ID, total))
		case c.times < c.log || c.sum != int64(c.log)*total:
			found = append(found, c.violation(c.less, o.ID, total))
		}
	}
	return found
}

// moneyInOrder checks that no money moved before there was a reason to.
func (o *Order) moneyInOrder(r *Report, l LedgerOrder) {
	f := o.know().facts
	var charged time.Time
	before := func(what string, when time.Time, cause string, since time.Time) {
		if since.IsZero() || when.Before(since) {
			r.add(earlyMoney.violation(o.ID, "%s at %s, but %s at %s", what, when, cause, since))
		}
	}
	for _, in := range l.Intents {
		before("its payment was begun", in.Created, "it was placed", last(f.placed).time)
		for _, c := range in.Charges {
			before("it was charged", c.At, "its payment was begun", in.Created)
			if c.Status != "failed" {
				charged = c.At
			}
		}
		for _, back := range in.Refunds {
			before("it was refunded", back.At, "it was charged", charged)
			before("it was refunded", back.At, "it was cancelled", last(f.cancelled).time)
		}
	}
}

func last(events []event) (e event) {
	if len(events) > 0 {
		e = events[len(events)-1]
	}
	return e
}

// Gone is what is left of the orders of a log that is gone: money and mails, which nobody may touch at the word of
// another log.
type Gone struct {
	ledger Ledger
	mails  map[string]bool // by Message-ID
}

// GoneWith notes what there is of the orders so far. After that their log may be deleted, and another one take its
// place.
func GoneWith(ledger Ledger, mails []Mail) Gone {
	g := Gone{ledger, map[string]bool{}}
	for _, m := range mails {
		g.mails[m.MessageID] = true
	}
	return g
}

// leave takes what is left of them out of the ledger and the mailbox. What has come to it since is a violation.
func (g Gone) leave(r *Report, ledger Ledger, mails []Mail) []Mail {
	for id, was := range g.ledger.Orders {
		if before, now := was.Money(), ledger.Orders[id].Money(); now != before {
			broken := goneCharged
			if now.Charges == before.Charges {
				broken = goneRefunded
			}
			r.add(broken.violation(id, "its log is gone, and its money moved from %+v to %+v", before, now))
		}
		delete(ledger.Orders, id)
	}
	return slices.DeleteFunc(slices.Clone(mails), func(m Mail) bool { return g.mails[m.MessageID] })
}
