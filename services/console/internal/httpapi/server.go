// Package httpapi is the REST of the console: what waits behind dead letters, and the ways to bring it back. It
// is schemas/openapi/console.yaml; the server is generated from it, and every request is held against it first.
package httpapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config ../../../../schemas/openapi/console.gen.yaml -o api.gen.go ../../../../schemas/openapi/console.yaml

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/contract"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/pulse"
)

// maxBody bounds a request's body, in bytes: an edit brings a whole event.
const maxBody = 2 << 20

// Server is the HTTP door: it answers the operations.
type Server struct {
	model      *letters.Model
	orders     *orders.Query
	log        broker.Log
	pulse      *pulse.Pulse
	partitions int
	contract   *contract.Contract
}

// New returns a server; it fails only when the contract it was built with cannot be read. beat must run.
func New(model *letters.Model, query *orders.Query, log broker.Log, beat *pulse.Pulse, partitions int) (*Server, error) {
	c, err := contract.New(GetSpec, contract.Config{MaxBody: maxBody})
	return &Server{model: model, orders: query, log: log, pulse: beat, partitions: partitions, contract: c}, err
}

// Handler routes the operations of the contract and the pages that others adds (nil: none), all behind a guard, and the sign-in. Every answer to an
// operation that is not a success is a problem document. What public adds is for everybody.
func (s *Server) Handler(g *auth.Guard, others func(chi.Router), public ...func(chi.Router)) http.Handler {
	return s.contract.Router(func(r chi.Router) {
		HandlerWithOptions(NewStrictHandlerWithOptions(s, nil, StrictHTTPServerOptions{
			RequestErrorHandlerFunc:  contract.Refuse,
			ResponseErrorHandlerFunc: problem.Write,
		}), ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: contract.Refuse})
	}, func(r chi.Router) {
		g.SignInRoutes(r)
		for _, add := range public {
			add(r)
		}
		if others != nil {
			r.With(g.Routes(access)).Group(others)
		}
	}, g.Routes(access))
}
