// Package httpapi is the REST of the query service. It is schemas/openapi/query.yaml; the server is generated
// from it, and every request is held against it first.
package httpapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config ../../../../schemas/openapi/query.gen.yaml -o api.gen.go ../../../../schemas/openapi/query.yaml

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/contract"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// Config is what the door needs beside the read model. Zero values mean the stated default.
type Config struct {
	// Guard stands before every operation. Required.
	Guard *auth.Guard
	// MaxStreams is how many live streams are open at once at most; more are refused with 503. Default 1000.
	MaxStreams int
	// PerClient is how many of them one client has at most; more are refused with 429. Default MaxStreams.
	PerClient int
	// Heartbeat is the time between comment lines on a quiet stream. Default 15 s.
	Heartbeat time.Duration
	// Patience is how long a stream's reader may take for one write before it is cut off. Default 10 s.
	Patience time.Duration
}

// access says who may ask what; whose orders are seen, the operations see to.
var access = auth.Table{
	"GET /orders":             auth.AnyCaller,
	"GET /orders/{id}":        auth.AnyCaller,
	"GET /orders/{id}/events": auth.AnyCaller,
	"GET /orders/{id}/stream": auth.AnyCaller,
	"GET /stream":             auth.AnyCaller,
	"GET /stats":              auth.Viewer,
	"GET /rebuild":            auth.Viewer,
	"POST /rebuild":           auth.Operator,
	"DELETE /rebuild":         auth.Operator,
}

// Server is the HTTP door: it answers the operations.
type Server struct {
	Config
	model    *readmodel.Model
	log      broker.Log
	tail     *story.Tail
	streams  *httpdoor.Streams
	contract *contract.Contract
}

// New returns a server; it fails only when the contract it was built with cannot be read.
func New(model *readmodel.Model, log broker.Log, tail *story.Tail, cfg Config) (*Server, error) {
	c, err := contract.New(GetSpec, contract.Config{})
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = 1000
	}
	if cfg.PerClient == 0 {
		cfg.PerClient = cfg.MaxStreams
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	streams := httpdoor.NewStreams(cfg.MaxStreams, cfg.PerClient)
	return &Server{Config: cfg, model: model, log: log, tail: tail, streams: streams, contract: c}, err
}

// Handler routes the operations of the contract and whatever others adds (health, metrics). Every answer that is not a
// success is a problem document.
func (s *Server) Handler(others func(chi.Router)) http.Handler {
	return s.contract.Router(func(r chi.Router) {
		HandlerWithOptions(NewStrictHandlerWithOptions(s, nil, StrictHTTPServerOptions{
			RequestErrorHandlerFunc:  contract.Refuse,
			ResponseErrorHandlerFunc: problem.Write,
		}), ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: contract.Refuse})
	}, others, s.Guard.Routes(access))
}
