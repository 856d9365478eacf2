package rest

import (
	"slices"

	"github.com/troupe-dev/troupe/schemas/client/consoleapi"
	"github.com/troupe-dev/troupe/schemas/client/orderapi"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
)

// Documents as the contracts have them.
type (
	PlaceOrder       = orderapi.PlaceOrder
	Line             = orderapi.Line
	Payment          = queryapi.Payment
	Notification     = queryapi.Notification
	Story            = queryapi.Story
	Event            = queryapi.Event
	Letter           = consoleapi.Letter
	LetterPage       = consoleapi.LetterPage
	Groups           = consoleapi.Groups
	Group            = consoleapi.Group
	Chain            = consoleapi.Chain
	LogPage          = consoleapi.LogPage
	LogEntry         = consoleapi.LogEntry
	RequestState     = consoleapi.RequestState
	Rebuild          = consoleapi.Rebuild
	RebuildPartition = consoleapi.RebuildPartition
)

// Accepted is the answer to a placed order, or to a cancellation, which has no total and currency.
type Accepted struct {
	ID               string `json:"id"`
	Status           string `json:"status"`
	Total            int64  `json:"total,omitzero"`
	Currency         string `json:"currency,omitzero"`
	ConsistencyToken string `json:"consistency_token"`
}

// Order is the read model's document of one order.
type Order struct{ queryapi.Order }

// Page is one page of a list of orders.
type Page struct {
	Orders        []Order `json:"orders"`
	NextPageToken string  `json:"next_page_token"`
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
