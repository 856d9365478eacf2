// Package rest is a client of the order and query services' HTTP doors, as schemas/openapi describes them.
package rest

import (
	"encoding/json"
	"slices"
	"time"
)

// PlaceOrder is the body of POST /orders.
type PlaceOrder struct {
	CustomerID    string `json:"customer_id"`
	Email         string `json:"email"`
	Currency      string `json:"currency"`
	PaymentMethod string `json:"payment_method"`
	Lines         []Line `json:"lines"`
}

// Line is one position of an order; UnitPrice is in minor units.
type Line struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
}

// Accepted is the answer to a placed order or a cancellation. A cancellation has no total and currency.
type Accepted struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Total    int64  `json:"total"`
	Currency string `json:"currency"`
	// Token makes a read wait until it shows what this request wrote.
	Token string `json:"consistency_token"`
	// Raw is the answer as it came.
	Raw json.RawMessage `json:"-"`
}

// Order is the read model's document of one order.
type Order struct {
	ID            string         `json:"id"`
	Version       int64          `json:"version"`
	CustomerID    string         `json:"customer_id"`
	Status        string         `json:"status"`
	Total         int64          `json:"total"`
	Currency      string         `json:"currency"`
	Lines         []Line         `json:"lines"`
	PlacedAt      time.Time      `json:"placed_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
	Settled       bool           `json:"settled"`
	SettledAt     time.Time      `json:"settled_at"`
	Cancellation  *Cancellation  `json:"cancellation"`
	Payment       Payment        `json:"payment"`
	Notifications []Notification `json:"notifications"`
	// Raw is the document as it came.
	Raw json.RawMessage `json:"-"`
}

// Cancellation is there when the customer asked for it or the order is cancelled.
type Cancellation struct {
	RequestedAt time.Time `json:"requested_at"`
	Reason      string    `json:"reason"`
}

// Payment of an order; Amount in minor units.
type Payment struct {
	Status   string `json:"status"`
	IntentID string `json:"payment_intent_id"`
	RefundID string `json:"refund_id"`
	Reason   string `json:"reason"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Notification is one mail about an order.
type Notification struct {
	Kind      string    `json:"kind"`
	Status    string    `json:"status"`
	SentAt    time.Time `json:"sent_at"`
	MessageID string    `json:"message_id"`
	Reason    string    `json:"reason"`
}

// Told reports whether the customer has had (or refused) every mail that the order's outcome asks for.
func (o Order) Told() bool {
	var kinds []string
	switch {
	case o.Status == "confirmed":
		kinds = []string{"confirmed"}
	case o.Status == "cancelled" && o.Payment.Status == "refunded":
		kinds = []string{"cancelled", "refunded"}
	case o.Status == "cancelled":
		kinds = []string{"cancelled"}
	}
	for _, k := range kinds {
		if !slices.ContainsFunc(o.Notifications, func(n Notification) bool { return n.Kind == k }) {
			return false
		}
	}
	return true
}

// Page is one page of a list of orders.
type Page struct {
	Orders    []Order         `json:"orders"`
	NextToken string          `json:"next_page_token"`
	Raw       json.RawMessage `json:"-"`
}

// Story is every event of one order, each after its cause.
type Story struct {
	OrderID string  `json:"order_id"`
	Events  []Event `json:"events"`
}

// Event is one record of an order's story.
type Event struct {
	ID          string          `json:"id"`
	OrderID     string          `json:"order_id"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	Topic       string          `json:"topic"`
	Partition   int             `json:"partition"`
	Offset      int64           `json:"offset"`
	Time        time.Time       `json:"time"`
	Sequence    int64           `json:"sequence"`
	CausationID string          `json:"causation_id"`
	PreviousID  string          `json:"previous_id"`
	Data        json.RawMessage `json:"data"`
	// GapMS is the time since its cause in milliseconds; nil when the cause is not known.
	GapMS *float64 `json:"gap_ms"`
	// Kind is event, or what became of one that Participant parked for Class and Message: dead_letter, redriven, edited, discarded,
	// failed or closed. Empty is event.
	Kind        string `json:"kind"`
	Participant string `json:"participant"`
	Class       string `json:"class"`
	Message     string `json:"message"`
}
