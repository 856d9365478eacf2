// Package httpapi is the customers' door of the query service. It is schemas/openapi/query.yaml; the server is generated
// from it, and every request is held against it first.
package httpapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config ../../../../schemas/openapi/query.gen.yaml -o api.gen.go ../../../../schemas/openapi/query.yaml

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// Config is what the door needs beside the read model. Zero values mean the stated default.
type Config struct {
	// MaxStreams is how many live streams are open at once at most; more are refused with 503. Default 1000.
	MaxStreams int
	// Heartbeat is the time between comment lines on a quiet stream. Default 15 s.
	Heartbeat time.Duration
	// Patience is how long a stream's reader may take for one write before it is cut off. Default 10 s.
	Patience time.Duration
}

// Server is the HTTP door.
type Server struct {
	reads reads
	check *contract
}

// reads answers the operations.
type reads struct {
	Config
	model   *readmodel.Model
	log     broker.Log
	tail    *story.Tail
	streams chan struct{}
}

// New returns a server; it fails only when the contract it was built with cannot be read.
func New(model *readmodel.Model, log broker.Log, tail *story.Tail, cfg Config) (*Server, error) {
	c, err := loadContract()
	if err != nil {
		return nil, err
	}
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = 1000
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	return &Server{check: c, reads: reads{
		Config: cfg, model: model, log: log, tail: tail, streams: make(chan struct{}, cfg.MaxStreams),
	}}, nil
}

// Handler routes the operations of the contract and whatever others adds (health, metrics). Every answer that is not a
// success is a problem document.
func (s *Server) Handler(others func(chi.Router)) http.Handler {
	r := chi.NewRouter()
	r.Use(telemetry.Route, recoverer)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.New(fault.NotFound, "there is nothing at this path"))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		allowed := allow(r, req.URL.Path)
		w.Header().Set("Allow", allowed)
		problem.Write(w, req, problem.New(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed", "this path takes "+allowed))
	})
	others(r)
	r.Group(func(r chi.Router) {
		r.Use(s.check.middleware)
		HandlerWithOptions(NewStrictHandlerWithOptions(s.reads, nil, StrictHTTPServerOptions{
			RequestErrorHandlerFunc:  refuse,
			ResponseErrorHandlerFunc: problem.Write,
		}), ChiServerOptions{BaseRouter: r, ErrorHandlerFunc: refuse})
	})
	return r
}

// refuse answers what the generated code could not read although it passed the contract.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	problem.Write(w, r, fault.As(fault.Invalid, err))
}

func allow(r chi.Router, path string) string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if r.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
		}
	}
	return strings.Join(methods, ", ")
}

// recoverer turns a panic of a handler into a 500 with a trace in the log.
func recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p) // net/http's own way to hang up
			default:
				slog.ErrorContext(r.Context(), "handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				problem.Write(w, r, fault.New(fault.Permanent, "panic"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
