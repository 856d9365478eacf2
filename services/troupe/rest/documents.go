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
	Order            = queryapi.Order
	Story            = queryapi.Story
	Event            = queryapi.Event
	Letter           = consoleapi.Letter
	LetterPage       = consoleapi.LetterPage
	Group            = consoleapi.Group
	Chain            = consoleapi.Chain
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

// Ended reports whether an order is settled, and its customer has had (or refused) every mail that the outcome asks
// for.
func Ended(o Order) bool {
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
		if !slices.ContainsFunc(o.Notifications, func(n queryapi.Notification) bool { return n.Kind == k }) {
			return false
		}
	}
	return o.Settled
}
