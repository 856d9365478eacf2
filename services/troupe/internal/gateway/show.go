package gateway

import (
	"net/http"
	"time"
)

// Ledger is what GET /ledger shows: everything, by order id. Intents without an order id are under the empty one.
type Ledger struct {
	Orders map[string]LedgerOrder `json:"orders"`
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
	Charges  []Charge       `json:"charges"`
	Refunds  []LedgerRefund `json:"refunds"`
}

// Charge is one attempt to take the money: succeeded, failed or pending.
type Charge struct {
	ID     string    `json:"id"`
	Status string    `json:"status"`
	Amount int64     `json:"amount"`
	Method string    `json:"method"`
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
	q, e := readQuery(r, "order_id")
	if e != nil {
		fail(w, e)
		return
	}
	s.show(w, func(now time.Time) (any, *apiError) {
		orders := s.book.byOrder
		if q.form.Has("order_id") {
			id := q.get("order_id")
			orders = map[string][]string{id: orders[id]}
		}
		l := Ledger{map[string]LedgerOrder{}}
		for id, intents := range orders {
			if len(intents) > 0 {
				l.Orders[id] = s.book.show(intents, now)
			}
		}
		return l, nil
	})
}

func (b *book) show(intents []string, now time.Time) (o LedgerOrder) {
	for _, id := range intents {
		in := b.intents[id].as(now)
		shown := LedgerIntent{ID: in.ID, Status: in.Status, Amount: in.Amount, Currency: in.Currency, Created: in.Created,
			Charges: append([]Charge{}, in.Charges...), Refunds: []LedgerRefund{}}
		for _, rid := range b.ofIntent[id] {
			re := b.refunds[rid]
			shown.Refunds = append(shown.Refunds, LedgerRefund{ID: re.ID, Status: re.status(now), Amount: re.Amount, At: re.Created})
		}
		o.Intents = append(o.Intents, shown)
	}
	return o
}
