package httpapi

import (
	"context"
	"fmt"
)

// Chain is what GET /api/dead-letters/{participant}/{order_id} answers, its first page; errors as there.
func (s *Server) Chain(ctx context.Context, participant, order string) (Chain, error) {
	answer, err := s.door.GetChain(ctx, GetChainRequestObject{Participant: participant, OrderID: order})
	if err != nil {
		return Chain{}, err
	}
	chain, ok := answer.(GetChain200JSONResponse)
	if !ok {
		return Chain{}, fmt.Errorf("an answer of type %T", answer)
	}
	return Chain(chain), nil
}
