package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Server is the HTTP door of the order service.
type Server struct {
	orders orders
	check  *contract
}

// New returns a server; it fails only when the contract it was built with cannot be read.
func New(door Door, cfg Config) (*Server, error) {
	c, err := loadContract()
	if err != nil {
		return nil, err
	}
	return &Server{orders: orders{Config: cfg, door: door}, check: c}, nil
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
		HandlerWithOptions(NewStrictHandlerWithOptions(s.orders, nil, StrictHTTPServerOptions{
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
