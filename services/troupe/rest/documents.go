package rest

import (
	"encoding/json"
	"slices"

	"github.com/troupe-dev/troupe/schemas/client/consoleapi"
	"github.com/troupe-dev/troupe/schemas/client/orderapi"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
)

// Documents as the contracts have them. Those below keep the answer as it came beside what they know of it.
type (
	PlaceOrder       = orderapi.PlaceOrder
	Line             = orderapi.Line
	Payment          = queryapi.Payment
	Notification     = queryapi.Notification
	Story            = queryapi.Story
	Event            = queryapi.Event
	Letter           = consoleapi.Letter
	ChainLetter      = consoleapi.ChainLetter
	Header           = consoleapi.Header
	LogEntry         = consoleapi.LogEntry
	RebuildPartition = consoleapi.RebuildPartition
)

// Accepted is the answer to a placed order or a cancellation. A cancellation has no total and currency.
type Accepted struct {
	orderapi.PlacedOrder
	Raw json.RawMessage `json:"-"`
}

// Order is the read model's document of one order.
type Order struct {
	queryapi.Order
	Raw json.RawMessage `json:"-"`
}

// Page is one page of a list of orders.
type Page struct {
	Orders        []Order         `json:"orders"`
	NextPageToken string          `json:"next_page_token"`
	Raw           json.RawMessage `json:"-"`
}

// Groups is what is parked, by participant, class and type of the heads, the largest first.
type Groups struct {
	Groups  []consoleapi.Group `json:"groups"`
	Orders  int64              `json:"orders"`
	Letters int64              `json:"letters"`
	Raw     json.RawMessage    `json:"-"`
}

// LetterPage is one page of the dead letters.
type LetterPage struct {
	consoleapi.LetterPage
	Raw json.RawMessage `json:"-"`
}

// Chain is what is parked of one order at one participant, the head first, and what was done about it, the newest
// first.
type Chain struct {
	consoleapi.Chain
	Raw json.RawMessage `json:"-"`
}

// LogPage is one page of the audit trail.
type LogPage struct {
	consoleapi.LogPage
	Raw json.RawMessage `json:"-"`
}

// RequestState is what became of a request.
type RequestState struct {
	consoleapi.RequestState
	Raw json.RawMessage `json:"-"`
}

// Rebuild is the last rebuild of the read model.
type Rebuild struct {
	consoleapi.Rebuild
	Raw json.RawMessage `json:"-"`
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
