package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/config"
)

// signing returns a guard that lets people sign in.
func signing(t *testing.T, issuer *authtest.Issuer) *auth.Guard {
	g := authtest.Guard(t, issuer.Config())
	cfg, as := authtest.SignInConfig(authtest.SessionKey)
	g.SignIn(cfg, as, authtest.Notice)
	return g
}

func TestPeopleSignInAndOut(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	b := authtest.NewBrowser(t, api(signing(t, issuer)))
	issuer.Person(issuer.Claims("grace", auth.Operator))

	w := b.Ask(http.MethodGet, "/all?x=%2F")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sign-in?to=%2Fall%3Fx%3D%252F" {
		t.Fatalf("a page without a session: %d to %q", w.Code, w.Header().Get("Location"))
	}
	w = b.Ask(http.MethodGet, b.SignIn(w.Header().Get("Location")))
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/all?x=%2F" {
		t.Fatalf("signed in: %d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	if w = b.Ask(http.MethodGet, "/all"); w.Code != http.StatusOK || w.Body.String() != "grace" {
		t.Errorf("the page: %d %s", w.Code, w.Body)
	}
	// A proxy in front passes on what is for its own login.
	if w = b.Ask(http.MethodGet, "/all", "Authorization", "Basic eDp5"); w.Code != http.StatusOK {
		t.Errorf("the page behind a proxy: %d %s", w.Code, w.Body)
	}
	for _, bearer := range []string{"Bearer", "bearer x"} {
		if w = b.Ask(http.MethodGet, "/all", "Authorization", bearer); w.Code == http.StatusOK {
			t.Errorf("the session with %q: %d", bearer, w.Code)
		}
	}
	if w = b.Ask(http.MethodPost, "/break"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "the role breaker") {
		t.Errorf("what is for others: %d %s", w.Code, w.Body)
	}
	if w = b.Ask(http.MethodPost, auth.SignOutPath, "Sec-Fetch-Site", ""); w.Code != http.StatusForbidden {
		t.Errorf("signed out by who knows: %d", w.Code)
	}
	w = b.Ask(http.MethodPost, auth.SignOutPath)
	back := url.Values{"client_id": {"console"}, "post_logout_redirect_uri": {"http://127.0.0.1/sign-out"}}.Encode()
	if w.Code != http.StatusOK || !strings.HasSuffix(w.Body.String(), "\n"+issuer.URL+"/out?"+back) {
		t.Errorf("signed out: %d %s", w.Code, w.Body)
	}
	if w = b.Ask(http.MethodGet, "/all"); w.Code != http.StatusSeeOther {
		t.Errorf("a page after that: %d", w.Code)
	}
	if w = b.Ask(http.MethodPost, "/change"); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), auth.SignInPath) {
		t.Errorf("a form after that: %d %s", w.Code, w.Body)
	}
}

func TestCookiesAreForThisServiceAlone(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	for url, want := range map[string]struct {
		name   string
		secure bool
	}{"http://127.0.0.1": {"troupe-", false}, "https://127.0.0.1": {"__Host-troupe-", true}} {
		g := authtest.Guard(t, issuer.Config())
		cfg, as := authtest.SignInConfig("")
		cfg.URL = url
		g.SignIn(cfg, as, authtest.Notice)
		b := authtest.NewBrowser(t, api(g))
		issuer.Person(issuer.Claims("grace", auth.Operator))
		seen := map[string]bool{}
		for range 2 { // each session is another
			w := b.Ask(http.MethodGet, b.SignIn(auth.SignInPath))
			for _, c := range w.Result().Cookies() {
				ends := map[bool]bool{true: c.MaxAge < 0, false: c.MaxAge > 3500 && c.MaxAge <= 3600}[strings.HasSuffix(c.Name, "sign-in")]
				if !strings.HasPrefix(c.Name, want.name) || c.Secure != want.secure || !c.HttpOnly || c.Path != "/" ||
					c.Domain != "" || c.SameSite != http.SameSiteLaxMode || !ends || seen[c.Value] {
					t.Errorf("%s: %v", url, c)
				}
				seen[c.Value] = c.Value != ""
			}
			if len(w.Result().Cookies()) != 2 {
				t.Errorf("%v", w.Result().Cookies())
			}
		}
	}
}

// What comes back from the issuer must be of this sign-in, of this browser, for this service.
func TestOnlyTheOwnSignInIsTaken(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	h := api(signing(t, issuer))
	good := issuer.Claims("grace", auth.Operator)
	issuer.Person(good)
	change := func(of func(access, id authtest.Claims) authtest.Claims, name string, value any) func(_, _ authtest.Claims) {
		return func(access, id authtest.Claims) { of(access, id)[name] = value }
	}
	access := func(access, _ authtest.Claims) authtest.Claims { return access }
	id := func(_, id authtest.Claims) authtest.Claims { return id }
	for what, spoil := range map[string]func(access, id authtest.Claims){
		"another nonce":               change(id, "nonce", "x"),
		"an id token of another":      change(id, "aud", "another"),
		"an id token of before":       change(id, "exp", 1),
		"another's hash":              change(id, "at_hash", "x"),
		"two subjects":                change(id, "sub", "ada"),
		"an access token for another": change(access, "aud", "another"),
		"another issuer":              change(access, "iss", "https://other.example"),
	} {
		issuer.Spoil = spoil
		b := authtest.NewBrowser(t, h)
		if w := b.Ask(http.MethodGet, b.SignIn(auth.SignInPath)); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
		if w := b.Ask(http.MethodGet, "/own"); w.Code != http.StatusSeeOther {
			t.Errorf("%s: then %d %s", what, w.Code, w.Body)
		}
	}
	issuer.Spoil = nil

	victim, attacker := authtest.NewBrowser(t, h), authtest.NewBrowser(t, h)
	theirs := attacker.SignIn(auth.SignInPath)
	if w := victim.Ask(http.MethodGet, theirs); w.Code != http.StatusBadRequest {
		t.Errorf("a sign-in that began nowhere: %d", w.Code)
	}
	victim.SignIn(auth.SignInPath)
	if w := victim.Ask(http.MethodGet, theirs); w.Code != http.StatusBadRequest {
		t.Errorf("a sign-in that began elsewhere: %d", w.Code)
	}
	mine := victim.SignIn(auth.SignInPath)
	_, state, _ := strings.Cut(mine, "state=")
	code, _, _ := strings.Cut(theirs, "&")
	if w := victim.Ask(http.MethodGet, code+"&state="+state); w.Code != http.StatusForbidden { // PKCE
		t.Errorf("another's code: %d", w.Code)
	}
	mine = victim.SignIn(auth.SignInPath)
	if w := victim.Ask(http.MethodGet, mine); w.Code != http.StatusSeeOther {
		t.Errorf("a good one: %d %s", w.Code, w.Body)
	}
	if w := victim.Ask(http.MethodGet, mine); w.Code != http.StatusBadRequest {
		t.Errorf("once more: %d", w.Code)
	}
	_, sealed, _ := strings.Cut(authtest.NewBrowser(t, h).Session(issuer, good), "=")
	w := authtest.NewBrowser(t, h).Ask(http.MethodGet, auth.CallbackPath+"?state=&code=x", "Cookie", "troupe-sign-in="+sealed)
	if w.Code != http.StatusBadRequest {
		t.Errorf("a session as a sign-in: %d", w.Code)
	}
	victim.SignIn(auth.SignInPath)
	said := auth.CallbackPath + "?error=access_denied&error_description=no&" + victim.SignIn(auth.SignInPath)[len(auth.CallbackPath)+1:]
	if w := victim.Ask(http.MethodGet, said); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "access_denied no") {
		t.Errorf("refused by the issuer: %d %s", w.Code, w.Body)
	}
}

// One may come to another name of the same place, whose cookies are others.
func TestASignInBeginsWhereItEnds(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	h := api(signing(t, issuer))
	r := httptest.NewRequest(http.MethodGet, "http://localhost/sign-in?to=%2Fall", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Location"); got != "http://127.0.0.1/sign-in?moved=&to=%2Fall" {
		t.Errorf("%q", got)
	}
	// Behind a proxy that does not pass the name on it goes on after one time.
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/sign-in?moved=&to=%2Fall", nil))
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, issuer.URL+"/authorize?") {
		t.Errorf("%q", got)
	}
}

// Browsers ask for a name in lower case, however it is written.
func TestTheConsolesNameMayHaveCapitals(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	g := authtest.Guard(t, issuer.Config())
	cfg, as := authtest.SignInConfig("")
	cfg.URL = "https://Console.Example.com"
	g.SignIn(cfg, as, authtest.Notice)
	w := httptest.NewRecorder()
	api(g).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://console.example.com/sign-in", nil))
	if got := w.Header().Get("Location"); !strings.HasPrefix(got, issuer.URL+"/authorize?") {
		t.Errorf("sent to %q", got)
	}
	if got := cfg.Host(); got != "console.example.com" {
		t.Errorf("the door knows %q", got)
	}
}

func TestASignInLeadsToNoOtherSite(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	issuer.Person(issuer.Claims("grace", auth.Operator))
	b := authtest.NewBrowser(t, api(signing(t, issuer)))
	for to, want := range map[string]string{
		"/all?a=b#c": "/all?a=b#c", "": "/", "https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "evil": "/",
		"/\t/evil.example": "/", "javascript:alert(1)": "/",
	} {
		w := b.Ask(http.MethodGet, b.SignIn(auth.SignInPath+"?"+url.Values{"to": {to}}.Encode()))
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%q leads to %q", to, got)
		}
	}
}

// Each sign-in asks the issuer, and needs no token.
func TestSignInsOfAnAddressAreLimited(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	limited := issuer.Config()
	limited.PerAddress = 2
	g := authtest.Guard(t, limited)
	cfg, as := authtest.SignInConfig(authtest.SessionKey)
	g.SignIn(cfg, as, authtest.Notice)
	b := authtest.NewBrowser(t, api(g))
	for n, want := range []int{http.StatusSeeOther, http.StatusSeeOther, http.StatusTooManyRequests} {
		if w := b.Ask(http.MethodGet, auth.SignInPath); w.Code != want {
			t.Errorf("sign-in %d: %d, not %d", n+1, w.Code, want)
		}
	}
}

func TestWhoIsSignedInGoesOnWhileTheIssuerIsAway(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	b := authtest.NewBrowser(t, api(signing(t, issuer)))
	b.Session(issuer, issuer.Claims("grace", auth.Operator))
	begun := b.SignIn(auth.SignInPath)
	issuer.Away(true)
	if w := b.Ask(http.MethodGet, "/all"); w.Code != http.StatusOK {
		t.Errorf("signed in: %d %s", w.Code, w.Body)
	}
	if w := b.Ask(http.MethodGet, begun); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a sign-in: %d %s", w.Code, w.Body)
	}
}

func TestAnotherSessionKeyEndsAllSessions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	say := func(key string) {
		if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say(authtest.SessionKey)
	issuer := authtest.NewIssuer(t)
	load := func() (auth.SignIn, error) {
		return config.Load[auth.SignIn]([]string{"CONSOLE_URL=http://127.0.0.1", "SESSION_KEY_FILE=" + file})
	}
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	_, as := authtest.SignInConfig("")
	g := authtest.Guard(t, issuer.Config())
	g.SignIn(cfg, as, authtest.Notice)
	b := authtest.NewBrowser(t, api(g))
	b.Session(issuer, issuer.Claims("grace"))
	if w := b.Ask(http.MethodGet, "/own"); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	say(authtest.SessionKey[:8] + "AAAA" + authtest.SessionKey[12:])
	if w := b.Ask(http.MethodGet, "/own"); w.Code != http.StatusSeeOther {
		t.Errorf("under another key: %d %s", w.Code, w.Body)
	}
	say("short")
	if w := b.Ask(http.MethodGet, auth.SignInPath); w.Code != http.StatusServiceUnavailable {
		t.Errorf("under none: %d %s", w.Code, w.Body)
	}
	for env, wrong := range map[string]string{
		"SESSION_KEY_FILE=" + file: "SESSION_KEY", "CONSOLE_URL=http://example.com": "CONSOLE_URL",
		"CONSOLE_URL=https://example.com/x": "CONSOLE_URL", "AUTH_SCOPES=email": "AUTH_SCOPES",
	} {
		_, err := config.Load[auth.SignIn]([]string{"CONSOLE_URL=http://127.0.0.1", env})
		if err == nil || !strings.Contains(err.Error(), wrong+": ") {
			t.Errorf("%s: %v", env, err)
		}
	}
}
