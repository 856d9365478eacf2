package authtest

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/config"
)

// SessionKey of guards that let people sign in, and of none.
const (
	SessionKey = "dHJvdXBlIHRlc3RzIG9ubHksIHRoaXJ0eS10d28gYnk="
	otherKey   = "YW5vdGhlciBrZXksIGZvciB0ZXN0cyBvbmx5LCAzMiE="
)

// SignInConfig of a console at http://127.0.0.1, and the client that it is.
func SignInConfig(key string) (auth.SignIn, auth.Credentials) {
	return auth.SignIn{URL: "http://127.0.0.1", Key: config.NewSecret(key), Scopes: []string{"openid"}},
		auth.Credentials{ClientID: "console", Secret: config.NewSecret(Secret)}
}

// Notice writes one as a page of one line.
func Notice(w http.ResponseWriter, _ *http.Request, n auth.Notice) {
	w.WriteHeader(n.Status)
	_, _ = w.Write([]byte(strings.Join([]string{n.Title, n.Text, n.SignIn, n.Next}, "\n")))
}

// Browser asks a handler as a browser does that shows a page of it: with its cookies, and with what browsers say.
type Browser struct {
	t       testing.TB
	h       http.Handler
	cookies map[string]string
}

// NewBrowser has no cookies.
func NewBrowser(t testing.TB, h http.Handler) *Browser {
	return &Browser{t, h, map[string]string{}}
}

// Ask sends a request with headers (names and values by turns), and keeps the cookies of the answer.
func (b *Browser) Ask(method, path string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(b.t.Context(), method, path, nil)
	req.Host = "127.0.0.1"
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, req)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

// SignIn goes to a sign-in and to the issuer, and returns where that sends it back to.
func (b *Browser) SignIn(path string) (callback string) {
	b.t.Helper()
	w := b.Ask(http.MethodGet, path)
	if w.Code != http.StatusSeeOther {
		b.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(w.Header().Get("Location"))
	if err != nil {
		b.t.Fatal(err)
	}
	_ = resp.Body.Close()
	at, err := resp.Location()
	if err != nil {
		b.t.Fatalf("the issuer: %s, %v", resp.Status, err)
	}
	return at.RequestURI()
}

// Session signs claims in, and returns the cookie as a header has it.
func (b *Browser) Session(issuer *Issuer, c Claims) (cookie string) {
	b.t.Helper()
	issuer.Person(c)
	w := b.Ask(http.MethodGet, b.SignIn(auth.SignInPath))
	for name, value := range b.cookies {
		cookie = name + "=" + value
	}
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" || len(b.cookies) != 1 {
		b.t.Fatalf("signed in: %d to %q with %d cookies: %s", w.Code, w.Header().Get("Location"), len(b.cookies), w.Body)
	}
	return cookie
}

// people are the sessions of a walk: a good one of each role, and bad ones of somebody who has all of them.
type people struct {
	good map[auth.Role]string
	bad  map[string]string
	// sealed was made as the expired one was, and has not expired.
	sealed string
}

func newPeople(t testing.TB, issuer *Issuer, h http.Handler) *people {
	p := &people{good: map[auth.Role]string{}}
	for _, role := range append([]auth.Role{auth.AnyCaller}, auth.Roles...) {
		p.good[role] = NewBrowser(t, h).Session(issuer, issuer.Claims("ada", rolesOf(role)...))
	}
	all := issuer.Claims("ada", auth.Roles...)
	good := NewBrowser(t, h).Session(issuer, all)
	name, sealed, _ := strings.Cut(good, "=")

	another := Guard(t, issuer.Config())
	of, as := SignInConfig(otherKey)
	another.SignIn(of, as, Notice)
	unfinished := NewBrowser(t, h)
	unfinished.SignIn(auth.SignInPath)
	middle := len(sealed) * 2 / 3
	flipped := map[bool]string{true: "B", false: "A"}[sealed[middle] == 'A']

	p.sealed = name + "=" + seal(t, issuer, name, time.Now().Add(time.Hour))
	p.bad = map[string]string{
		"an expired session":       name + "=" + seal(t, issuer, name, time.Now().Add(-time.Second)),
		"a tampered session":       name + "=" + sealed[:middle] + flipped + sealed[middle+1:],
		"of another key":           NewBrowser(t, signInRoutes(another)).Session(issuer, all),
		"a bearer token":           name + "=" + issuer.Sign(all),
		"a sign-in that has begun": name + "=" + unfinished.cookies["troupe-sign-in"],
		"nothing":                  name + "=",
	}
	return p
}

// seal makes the value of a session cookie, with all roles, that a service with SessionKey takes until a time.
func seal(t testing.TB, issuer *Issuer, name string, until time.Time) string {
	key, err := base64.StdEncoding.DecodeString(SessionKey)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := jwt.Encrypted(sealer).Claims(map[string]any{
		"sub": "ada", "roles": auth.Roles, "iss": issuer.URL, "aud": []string{name}, "exp": until.Unix(),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// sessions are as good as tokens with the same roles, from the service's own pages.
func (r router) sessions(method, path string, needs auth.Role) {
	r.t.Helper()
	r.letIn(r.send(method, path, "Cookie", r.people.sealed, "Sec-Fetch-Site", "same-origin"), method, path, "sealed here")
	for what, cookie := range r.people.bad {
		r.answers(r.send(method, path, "Cookie", cookie, "Sec-Fetch-Site", "same-origin"), method, path, what,
			http.StatusUnauthorized, auth.SlugUnauthenticated, "")
	}
	for has, cookie := range r.people.good {
		w := r.send(method, path, "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
		if !may(has, needs) {
			r.answers(w, method, path, "signed in as "+string(has), http.StatusForbidden, auth.SlugForbidden,
				"insufficient_scope")
			continue
		}
		r.letIn(w, method, path, "signed in as "+string(has))
		if method == http.MethodGet || has != needs {
			continue
		}
		for what, headers := range map[string][]string{
			"another site":           {"Sec-Fetch-Site", "cross-site"},
			"another port":           {"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:1"},
			"an old browser's page":  {"Origin", "http://evil.example"},
			"nobody says from where": {},
		} {
			w := r.send(method, path, append(headers, "Cookie", cookie)...)
			r.answers(w, method, path, what, http.StatusForbidden, "cross-origin", "")
		}
	}
}

func signInRoutes(g *auth.Guard) http.Handler {
	r := chi.NewRouter()
	g.SignInRoutes(r)
	return r
}
