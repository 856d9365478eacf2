package httpapi

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/contract"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// access says who may ask what; whose order it is, the operations see to.
var access = auth.Table{
	"POST /orders":             auth.AnyCaller,
	"POST /orders/{id}/cancel": auth.AnyCaller,
}

// Server is the HTTP door of the order service.
type Server struct {
	orders   orders
	contract *contract.Contract
}

// New returns a server; it fails only when the contract it was built with cannot be read.
func New(door Door, cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c, err := contract.New(GetSpec, contract.Config{Rules: map[string]string{
		"Idempotency-Key": "must be 8 to 128 visible ASCII characters without spaces",
	}})
	return &Server{orders: orders{Config: cfg, door: door}, contract: c}, err
}

// Handler routes the operations of the contract and whatever others adds (health, metrics). Every answer that is not a
// success is a problem document.
func (s *Server) Handler(others func(chi.Router)) http.Handler {
	return s.contract.Router(func(r chi.Router) {
		HandlerWithOptions(NewStrictHandlerWithOptions(s.orders, nil, StrictHTTPServerOptions{
			RequestErrorHandlerFunc:  contract.Refuse,
			ResponseErrorHandlerFunc: problem.Write,
		}), ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: contract.Refuse})
	}, others, s.orders.Guard.Routes(access))
}
