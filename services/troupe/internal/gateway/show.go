package gateway

import (
	"net/http"
	"time"
)

// Ledger is what GET /ledger shows: everything, by order id. Intents without an order id are under the empty one.
type Ledger struct {
	Totals Totals                 `json:"totals"`
	Orders map[string]LedgerOrder `json:"orders"`
}

// Totals count what is in a Ledger. Charged and Refunded are sums of minor units by currency.
type Totals struct {
	Intents  int              `json:"intents"`
	Charges  int              `json:"charges"` // those that took money
	Declines int              `json:"declines"`
	Refunds  int              `json:"refunds"`
	Charged  map[string]int64 `json:"charged"`
	Refunded map[string]int64 `json:"refunded"`
}

// LedgerOrder is what the gateway knows of one order, oldest first.
type LedgerOrder struct {
	Intents []LedgerIntent `json:"intents"`
}

// LedgerIntent is one payment intent. Amounts are in minor units.
type LedgerIntent struct {
	ID       string         `json:"id"`
	Status   string         `json:"status"`
	Amount   int64          `json:"amount"`
	Currency string         `json:"currency"`
	Created  time.Time      `json:"created"`
	Charges  []LedgerCharge `json:"charges"`
	Refunds  []LedgerRefund `json:"refunds"`
}

// LedgerCharge is one attempt to take the money: succeeded, failed or pending.
type LedgerCharge struct {
	ID     string    `json:"id"`
	Status string    `json:"status"`
	Amount int64     `json:"amount"`
	Method string    `json:"payment_method"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// LedgerRefund is money that went back: succeeded or pending.
type LedgerRefund struct {
	ID     string    `json:"id"`
	Status string    `json:"status"`
	Amount int64     `json:"amount"`
	At     time.Time `json:"at"`
}

// getLedger answers GET /ledger, of one order with ?order_id=.
func (s *Simulator) getLedger(w http.ResponseWriter, r *http.Request) {
	p, e := readQuery(r, "order_id")
	if e != nil {
		fail(w, e)
		return
	}
	s.mu.Lock()
	l := s.book.show(p, s.now())
	number := s.ledger.Last()
	s.mu.Unlock()
	if err := s.ledger.Wait(number); err != nil {
		fail(w, &apiError{Status: http.StatusInternalServerError, Type: typeAPI, Message: "The ledger cannot be written."})
		return
	}
	reply(w, http.StatusOK, l)
}

// show collects one order when p names it, else all.
func (b *book) show(p params, now time.Time) Ledger {
	l := Ledger{Totals: Totals{Charged: map[string]int64{}, Refunded: map[string]int64{}}, Orders: map[string]LedgerOrder{}}
	if _, one := p["order_id"]; one {
		l.add(b, p.get("order_id"), now)
		return l
	}
	for id := range b.byOrder {
		l.add(b, id, now)
	}
	return l
}

func (l *Ledger) add(b *book, orderID string, now time.Time) {
	var o LedgerOrder
	for _, id := range b.byOrder[orderID] {
		in := b.intents[id].as(now)
		shown := LedgerIntent{ID: in.ID, Status: in.Status, Amount: in.Amount, Currency: in.Currency, Created: in.Created,
			Charges: []LedgerCharge{}, Refunds: []LedgerRefund{}}
		l.Totals.Intents++
		for _, c := range in.Charges {
			shown.Charges = append(shown.Charges, LedgerCharge(c))
			switch c.Status {
			case succeeded:
				l.Totals.Charges++
				l.Totals.Charged[in.Currency] += c.Amount
			case failed:
				l.Totals.Declines++
			}
		}
		for _, rid := range b.ofIntent[id] {
			re := b.refunds[rid]
			shown.Refunds = append(shown.Refunds, LedgerRefund{ID: re.ID, Status: re.status(now), Amount: re.Amount, At: re.Created})
			l.Totals.Refunds++
			l.Totals.Refunded[in.Currency] += re.Amount
		}
		o.Intents = append(o.Intents, shown)
	}
	if o.Intents != nil {
		l.Orders[orderID] = o
	}
}
