// Package httpdoortest holds an HTTP API to what every one keeps. It walks the router, so that a new route is not
// forgotten.
package httpdoortest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

// Header is a header that an API's requests need.
type Header struct{ Name, Value string }

// Routes asks every route of an API, which must be a router of httpdoor.NewRouter, what no request may be asked.
// Patterns that begin with one of besides are left out: they speak another protocol's errors, or stand for another
// handler.
func Routes(t *testing.T, guard httpdoor.Config, h http.Handler, header Header, besides ...string) {
	t.Helper()
	routes, ok := h.(chi.Routes)
	if !ok {
		t.Fatalf("%T is no router", h)
	}
	methods := map[string][]string{}
	err := chi.Walk(routes, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if !slices.ContainsFunc(besides, func(b string) bool { return strings.HasPrefix(pattern, b) }) {
			methods[pattern] = append(methods[pattern], method)
		}
		return nil
	})
	if err != nil || len(methods) == 0 {
		t.Fatalf("%d routes, %v", len(methods), err)
	}
	d := asked{guard.Guard(h), header}
	for pattern, takes := range methods {
		path := filled(pattern)
		for _, method := range takes {
			d.strangers(t, method, path)
		}
		d.methods(t, path, takes)
		d.escapes(t, path, takes)
	}
}

type asked struct {
	h      http.Handler
	header Header
}

func (d asked) ask(t *testing.T, method, path string, headers ...Header) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Host = "localhost"
	for _, h := range append(headers, d.header) {
		switch h.Name {
		case "":
		case "Host":
			r.Host = h.Value
		default:
			r.Header.Set(h.Name, h.Value)
		}
	}
	w := httptest.NewRecorder()
	d.h.ServeHTTP(w, r)
	return w
}

// strangers may neither filter by what cannot be read, nor come by another name, nor change anything from another
// origin.
func (d asked) strangers(t *testing.T, method, path string) {
	t.Helper()
	for _, query := range []string{"?to=nobody;x=1", "?to=nobody%zz", "?%=1"} {
		if w := d.ask(t, method, path+query); w.Code != http.StatusBadRequest {
			t.Errorf("%s %s: %d, not 400", method, path+query, w.Code)
		}
	}
	if w := d.ask(t, method, path, Header{"Host", "rebound.example"}); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("%s %s of another name: %d, not 421", method, path, w.Code)
	}
	if method == http.MethodGet {
		return
	}
	for _, h := range []Header{{"Origin", "http://other.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		if w := d.ask(t, method, path, h); w.Code != http.StatusForbidden {
			t.Errorf("%s %s with %s: %d, not 403", method, path, h, w.Code)
		}
	}
}

// methods that a path does not take are 405 with Allow; where it takes GET, it takes HEAD.
func (d asked) methods(t *testing.T, path string, takes []string) {
	t.Helper()
	want := slices.Clone(takes)
	if slices.Contains(takes, http.MethodGet) {
		want = append(want, http.MethodHead)
		if w := d.ask(t, http.MethodHead, path); w.Code == http.StatusMethodNotAllowed {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
	slices.Sort(want)
	for _, method := range []string{http.MethodPatch, http.MethodOptions, http.MethodTrace, "BREW"} {
		if slices.Contains(takes, method) {
			continue
		}
		w := d.ask(t, method, path, Header{"Content-Type", "application/json"})
		allow := strings.Split(w.Header().Get("Allow"), ", ")
		slices.Sort(allow)
		if w.Code != http.StatusMethodNotAllowed || !slices.Equal(allow, want) {
			t.Errorf("%s %s: %d, Allow %v, not 405 and %v", method, path, w.Code, allow, want)
		}
	}
}

// escapes of a path change nothing (RFC 3986, 6.2.2.2).
func (d asked) escapes(t *testing.T, path string, takes []string) {
	t.Helper()
	method := takes[0]
	if method == http.MethodGet {
		method = http.MethodHead
	}
	var escaped strings.Builder
	for _, c := range []byte(path) {
		if c == '/' {
			escaped.WriteByte(c)
		} else {
			fmt.Fprintf(&escaped, "%%%02x", c)
		}
	}
	plain, same := d.ask(t, method, path), d.ask(t, method, escaped.String())
	if plain.Code != same.Code {
		t.Errorf("%s %s: %d, but %s: %d", method, path, plain.Code, escaped.String(), same.Code)
	}
}

var parameter = regexp.MustCompile(`\{[^}]*\}|\*$`)

// filled is a path of a pattern.
func filled(pattern string) string { return parameter.ReplaceAllString(pattern, "a-1") }
