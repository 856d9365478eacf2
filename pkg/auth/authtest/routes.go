package authtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// Routes asks every route of a router that stands behind a guard of issuer, with every bad token and with the good one
// of each role. want says what each route needs, as Table does; public are the routes that need no token. A route that
// is in neither fails the test.
func Routes(t *testing.T, issuer *Issuer, h http.Handler, want auth.Table, public ...string) {
	t.Helper()
	r := router{t: t, h: httpdoor.Config{}.Guard(h), bad: issuer.Bad("ada", auth.Roles...), issuer: issuer}
	if h.(chi.Routes).Match(chi.NewRouteContext(), http.MethodGet, auth.SignInPath) {
		r.people = newPeople(t, issuer, r.h)
		public = append(public, "GET "+auth.SignInPath, "GET "+auth.CallbackPath,
			"GET "+auth.SignOutPath, "POST "+auth.SignOutPath)
	}
	met := 0
	routes := h.(chi.Routes)
	err := chi.Walk(routes, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		role, guarded := want[method+" "+pattern]
		path := parameter.ReplaceAllString(pattern, "00000000-0000-5000-8000-000000000000")
		switch {
		case slices.Contains(public, method+" "+pattern):
			w := r.send(method, path, "Sec-Fetch-Site", "same-origin")
			if w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden {
				t.Errorf("%s %s is public: %d", method, pattern, w.Code)
			}
		case !guarded:
			t.Errorf("%s %s: nobody said who may ask it", method, pattern)
		default:
			met++
			r.strangers(method, path)
			r.roles(method, path, role)
			if r.people != nil {
				r.sessions(method, path, role)
			}
		}
		return nil
	})
	if err != nil || met != len(want) {
		t.Errorf("%d routes of %d, %v", met, len(want), err)
	}
}

var parameter = regexp.MustCompile(`\{[^}]*\}|\*$`)

type router struct {
	t      *testing.T
	h      http.Handler
	issuer *Issuer
	bad    map[string]string
	people *people // nil: nobody can sign in
}

func (r router) ask(method, path, token string) *httptest.ResponseRecorder {
	if token != "" {
		return r.send(method, path, "Authorization", "Bearer "+token)
	}
	return r.send(method, path)
}

// send sends a request with headers: names and values by turns.
func (r router) send(method, path string, headers ...string) *httptest.ResponseRecorder {
	if method == http.MethodGet {
		method = http.MethodHead // what streams ends with its header
	}
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, nil)
	req.Host = "localhost"
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w
}

// strangers are told that they need a token, or that theirs is not good, and nothing else.
func (r router) strangers(method, path string) {
	r.t.Helper()
	r.refused(method, path, "", "no token", http.StatusUnauthorized, auth.SlugUnauthenticated, "")
	for what, token := range r.bad {
		r.refused(method, path, token, what, http.StatusUnauthorized, auth.SlugUnauthenticated, "invalid_token")
	}
}

func (r router) roles(method, path string, needs auth.Role) {
	r.t.Helper()
	for _, has := range append([]auth.Role{auth.AnyCaller}, auth.Roles...) {
		token := r.issuer.Token("ada", rolesOf(has)...)
		if !may(has, needs) {
			r.refused(method, path, token, "as "+string(has), http.StatusForbidden, auth.SlugForbidden, "insufficient_scope")
			continue
		}
		r.letIn(r.ask(method, path, token), method, path, string(has))
	}
}

func rolesOf(has auth.Role) []auth.Role {
	if has == auth.AnyCaller {
		return nil
	}
	return []auth.Role{has}
}

func may(has, needs auth.Role) bool {
	return needs == auth.AnyCaller || needs == has || needs == auth.Viewer && has != auth.AnyCaller
}

func (r router) letIn(w *httptest.ResponseRecorder, method, path, as string) {
	r.t.Helper()
	if w.Code >= 500 || w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden {
		r.t.Errorf("%s %s as %q: %d %s", method, path, as, w.Code, w.Body)
	}
}

func (r router) refused(method, path, token, what string, code int, slug, challenge string) {
	r.t.Helper()
	r.answers(r.ask(method, path, token), method, path, what, code, slug, challenge)
}

func (r router) answers(w *httptest.ResponseRecorder, method, path, what string, code int, slug, challenge string) {
	r.t.Helper()
	var p problem.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != code || p.Type != problem.TypePrefix+slug {
		r.t.Errorf("%s %s, %s: %d %s %s, not %d %s", method, path, what, w.Code, p.Type, w.Body, code, slug)
	}
	said := w.Header().Get("WWW-Authenticate")
	if slug == "cross-origin" && said == "" {
		return
	}
	if !strings.HasPrefix(said, `Bearer realm="troupe"`) || strings.Contains(said, "error=") != (challenge != "") ||
		!strings.Contains(said, challenge) {
		r.t.Errorf("%s %s, %s: WWW-Authenticate %q lacks %q", method, path, what, said, challenge)
	}
}
