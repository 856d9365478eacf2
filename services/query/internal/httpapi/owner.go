package httpapi

import (
	"context"
	"encoding/json"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// maxRemembered bounds the orders whose owners one live stream remembers.
const maxRemembered = 10_000

// sight is what one caller sees of the live tail.
type sight struct {
	model  *readmodel.Model
	caller auth.Caller
	// mine remembers, by order, whether the caller sees it.
	mine map[string]bool
}

func (s *Server) sight(ctx context.Context) *sight {
	return &sight{s.model, auth.CallerOf(ctx), map[string]bool{}}
}

// event says whether the caller sees an event. Whose order it is, the event says when it is the first, and the read
// model afterwards; while neither does, customers do not see it.
func (s *sight) event(ctx context.Context, e story.Event) bool {
	if s.caller.Has(auth.Viewer) {
		return true
	}
	mine, known := s.mine[e.Subject]
	if known {
		return mine
	}
	customer := s.customer(ctx, e)
	if customer == "" {
		return false
	}
	if len(s.mine) >= maxRemembered {
		clear(s.mine)
	}
	mine = s.caller.Is(customer)
	s.mine[e.Subject] = mine
	return mine
}

func (s *sight) customer(ctx context.Context, e story.Event) string {
	var placed struct {
		Customer string `json:"customer_id"`
	}
	if json.Unmarshal(e.Body, &placed) == nil && placed.Customer != "" {
		return placed.Customer
	}
	found, err := s.model.Known(ctx, e.Subject, nil)
	if err != nil {
		return ""
	}
	return found.Order.Customer
}
