package httpdoor

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// NewRouter returns a router that takes HEAD wherever it takes GET, finds a path however it is escaped, and whose every
// failure is a problem document: 405 with Allow for a method that a path does not take, 500 for a panic.
func NewRouter() *chi.Mux {
	r := chi.NewRouter()
	r.Use(telemetry.Route, recoverer, escaped, middleware.GetHead)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.New(fault.NotFound, "there is nothing at this path"))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		allowed := allow(r, canonical(req.URL))
		if allowed == "" { // a method that the router has never heard of
			r.NotFoundHandler()(w, req)
			return
		}
		w.Header().Set("Allow", allowed)
		problem.Write(w, req, problem.New(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed",
			"this path takes "+allowed))
	})
	return r
}

// Param is a parameter of the path, without escapes.
func Param(r *http.Request, name string) string {
	value, _ := url.PathUnescape(chi.URLParam(r, name)) // a request whose URL could be read has no bad escapes
	return value
}

// escaped has routes found in the path as it was sent: where escapes were taken out before, "/" in a parameter would be
// one of the path, and what takes them out of a parameter would do so twice.
func escaped(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RoutePath = canonical(r.URL)
		next.ServeHTTP(w, r)
	})
}

// escape is one percent-encoded byte.
var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// canonical is an escaped path without the escapes that nothing needs (RFC 3986, 6.2.2.2).
func canonical(u *url.URL) string {
	return escape.ReplaceAllStringFunc(u.EscapedPath(), func(e string) string {
		b, _ := strconv.ParseUint(e[1:], 16, 8) // two hexadecimal digits
		if c := byte(b); 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte("-._~", c) >= 0 {
			return string(c)
		}
		return strings.ToUpper(e)
	})
}

// allow is the value of the header Allow: the methods that a path takes; empty when it takes none.
func allow(r chi.Routes, path string) string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if !r.Match(chi.NewRouteContext(), m, path) {
			continue
		}
		if methods = append(methods, m); m == http.MethodGet {
			methods = append(methods, http.MethodHead)
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
				slog.ErrorContext(r.Context(), "handler panicked", "panic", fmt.Sprint(p),
					"stack", string(debug.Stack()))
				problem.Write(w, r, fault.New(fault.Permanent, "panic"))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
