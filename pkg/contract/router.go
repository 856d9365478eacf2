package contract

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

// Router routes the operations of the contract, each request checked first, and whatever others adds unchecked (health, metrics;
// nil: nothing). Every answer that is not a success is a problem document.
func (c *Contract) Router(operations, others func(chi.Router)) http.Handler {
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
	if others != nil {
		others(r)
	}
	r.Group(func(r chi.Router) {
		r.Use(c.Check)
		operations(r)
	})
	return r
}

// Refuse answers what the generated code could not read although it passed the contract.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
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
