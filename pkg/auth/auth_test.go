package auth_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

var table = auth.Table{
	"GET /own": auth.AnyCaller, "GET /all": auth.Viewer, "POST /change": auth.Operator, "POST /break": auth.Breaker,
}

// api is a router behind a guard that answers with the caller's subject.
func api(g *auth.Guard) http.Handler {
	r := httpdoor.NewRouter()
	r.Get("/livez", func(http.ResponseWriter, *http.Request) {})
	g.SignInRoutes(r)
	guarded := r.With(g.Routes(table))
	answer := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(auth.CallerOf(r.Context()).Subject))
	}
	guarded.Get("/own", answer)
	guarded.Get("/all", answer)
	guarded.Post("/change", answer)
	guarded.Post("/break", answer)
	return r
}

func ask(h http.Handler, token, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/own", nil)
	r.Host, r.RemoteAddr = "localhost", from+":1234"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	httpdoor.Config{}.Guard(h).ServeHTTP(w, r)
	return w
}

func nothing(http.ResponseWriter, *http.Request) {}

const here = "192.0.2.1"

func TestEveryTokenAtEveryRoute(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	authtest.Routes(t, issuer, api(authtest.Guard(t, issuer.Config())), table, "GET /livez")
}

func TestEverySessionAtEveryRoute(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	authtest.Routes(t, issuer, api(signing(t, issuer)), table, "GET /livez")
}

func TestARouteThatIsNotInTheTableIsRefusedToEverybody(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	r := httpdoor.NewRouter()
	r.With(authtest.Guard(t, issuer.Config()).Routes(auth.Table{})).Get("/own", nothing)
	if w := ask(r, issuer.Token("ada", auth.Roles...), here); w.Code != http.StatusForbidden {
		t.Errorf("%d", w.Code)
	}
}

func TestKnownKeysGoOnWhileTheIssuerIsAway(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	h := api(authtest.Guard(t, issuer.Config()))
	known := issuer.Token("ada")
	if w := ask(h, known, here); w.Code != http.StatusOK || w.Body.String() != "ada" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	issuer.Away(true)
	issuer.Rotate("two")
	if w := ask(h, known, here); w.Code != http.StatusOK {
		t.Errorf("a known key: %d", w.Code)
	}
	rotated := issuer.Token("ada")
	if w := ask(h, rotated, here); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "5" {
		t.Errorf("a new key: %d, Retry-After %s", w.Code, w.Header().Get("Retry-After"))
	}
	issuer.Away(false)
	// go-oidc hands the answer to one request for the keys to whoever asks until it has forgotten it, a moment later.
	w := ask(h, rotated, here)
	tick, limit := time.Tick(time.Millisecond), time.Now().Add(20*time.Second)
	for ; w.Code != http.StatusOK && time.Now().Before(limit); <-tick {
		w = ask(h, rotated, here)
	}
	if w.Code != http.StatusOK {
		t.Errorf("a new key, and the issuer is back: %d %s", w.Code, w.Body)
	}
}

// The keys are read again although no unknown one is met. While the issuer is away, those of before are good.
func TestAWithdrawnKeyIsNotTakenForLong(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	once := before.(*http.Transport).Clone()
	once.DisableKeepAlives = true // a connection that stays open would stop the clock
	http.DefaultTransport = once
	synctest.Test(t, func(t *testing.T) {
		h := api(authtest.Guard(t, issuer.Config()))
		after := func(d time.Duration, token string, want int) {
			t.Helper()
			time.Sleep(d) //nolint:forbidigo // the bubble's time
			synctest.Wait()
			if w := ask(h, token, here); w.Code != want {
				t.Errorf("%d, not %d", w.Code, want)
			}
		}
		leaked := issuer.Token("ada")
		after(0, leaked, http.StatusOK)
		issuer.Rotate("two")
		issuer.Withdraw("one")
		issuer.Away(true)
		after(6*time.Minute, leaked, http.StatusOK)
		issuer.Away(false)
		after(5*time.Minute, leaked, http.StatusUnauthorized)
		after(0, issuer.Token("ada"), http.StatusOK)
	})
}

func TestBeforeTheIssuerWasFoundNoTokenIsJudged(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	g := auth.New(issuer.Config()) // does not run
	if g.Ready() == nil {
		t.Error("ready")
	}
	if w := ask(api(g), issuer.Token("ada"), here); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", w.Code)
	}
}

// A discovery is asked for again that names no keys, or is larger than any issuer's.
func TestABrokenDiscoveryIsNotBelieved(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	var asked atomic.Int32
	srv := httptest.NewUnstartedServer(nil)
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		is := map[string]string{"issuer": "http://" + srv.Listener.Addr().String(), "jwks_uri": issuer.URL + "/keys"}
		switch asked.Add(1) {
		case 1:
			delete(is, "jwks_uri")
		case 2:
			is["service_documentation"] = strings.Repeat("x", 1<<20)
		}
		_ = json.NewEncoder(w).Encode(is) // a caller that hung up
	})
	srv.Start()
	t.Cleanup(srv.Close)
	cfg := issuer.Config()
	cfg.Issuer = srv.URL
	h := api(authtest.Guard(t, cfg))
	token := issuer.Sign(issuer.Claims("ada").But("iss", srv.URL))
	if w := ask(h, token, here); w.Code != http.StatusOK || asked.Load() != 3 {
		t.Errorf("%d after %d discoveries", w.Code, asked.Load())
	}
}

// Anybody can make up key ids, each of which could be a new one.
func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	h := api(authtest.Guard(t, issuer.Config()))
	unknown := issuer.Bad("ada")["unknown key id"]
	for range 200 {
		if w := ask(h, unknown, here); w.Code != http.StatusUnauthorized {
			t.Fatal(w.Code)
		}
	}
	if n := issuer.KeysRead(); n > 30 {
		t.Errorf("the keys were read %d times", n)
	}
	if w := ask(h, issuer.Token("ada"), here); w.Code != http.StatusOK {
		t.Errorf("a known key after that: %d", w.Code)
	}
}

func TestRolesMayLieInAnObjectOrAText(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	for claim, value := range map[string]any{
		"realm_access.roles": map[string]any{"roles": []string{"operator", "unknown"}}, "scope": "openid operator",
		"https://example.com/roles": []string{"operator"},
	} {
		cfg := issuer.Config()
		cfg.RolesClaim = claim
		name := claim
		if claim == "realm_access.roles" {
			name = "realm_access"
		}
		token := issuer.Sign(issuer.Claims("ada").But(name, value))
		r := httpdoor.NewRouter()
		r.With(authtest.Guard(t, cfg).Routes(auth.Table{"GET /own": auth.Operator})).Get("/own", nothing)
		if w := ask(r, token, here); w.Code != http.StatusOK {
			t.Errorf("%s: %d", claim, w.Code)
		}
	}
}

func TestRequestsOfASubjectAndOfAnAddressAreLimited(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	cfg := issuer.Config()
	cfg.PerSubject, cfg.PerAddress = 2, 5
	h := api(authtest.Guard(t, cfg))
	ada, bob := issuer.Token("ada"), issuer.Token("bob")
	limited := func(w *httptest.ResponseRecorder) bool {
		retry, _ := strconv.Atoi(w.Header().Get("Retry-After"))
		return w.Code == http.StatusTooManyRequests && retry > 0 && w.Header().Get("RateLimit-Remaining") == "0"
	}
	for i := range 2 {
		if w := ask(h, ada, here); w.Code != http.StatusOK || w.Header().Get("RateLimit-Limit") != "2" {
			t.Fatalf("request %d: %d, limit %q", i+1, w.Code, w.Header().Get("RateLimit-Limit"))
		}
	}
	if w := ask(h, ada, here); !limited(w) {
		t.Errorf("one more of the subject: %d %v", w.Code, w.Header())
	}
	if w := ask(h, ada, "192.0.2.9"); !limited(w) {
		t.Errorf("one more of the subject from elsewhere: %d", w.Code)
	}
	if w := ask(h, bob, here); w.Code != http.StatusOK {
		t.Errorf("another subject: %d", w.Code)
	}
	if w := ask(h, "", here); w.Code != http.StatusUnauthorized {
		t.Errorf("the address's fifth: %d", w.Code)
	}
	if w := ask(h, bob, here); !limited(w) {
		t.Errorf("one more of the address: %d %v", w.Code, w.Header())
	}
}

func TestStreamsEndWithTheToken(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	r := httpdoor.NewRouter()
	expires := time.Now().Add(2 * time.Second).Truncate(time.Second)
	r.With(authtest.Guard(t, issuer.Config()).Routes(table)).Get("/own", func(_ http.ResponseWriter, r *http.Request) {
		ctx, cancel := auth.WhileValid(r.Context())
		defer cancel()
		select {
		case <-ctx.Done():
		case <-time.After(15 * time.Second):
		}
	})
	ask(r, issuer.Sign(issuer.Claims("ada").But("exp", expires.Unix())), here)
	if late := time.Since(expires); late < 0 || late > 10*time.Second {
		t.Errorf("ended %s after its token did", late)
	}
}

func TestWithoutAnIssuerAServiceIsOnLoopbackOrSaysSo(t *testing.T) {
	for _, c := range []struct {
		env, addrs []string
		wrong      string
	}{
		{nil, []string{"127.0.0.1:1", "[::1]:1", "localhost:0"}, ""},
		{nil, []string{"127.0.0.1:1", ":1"}, "AUTH_ISSUER"},
		{nil, []string{"192.0.2.1:1"}, "AUTH_ISSUER"},
		{[]string{"AUTH=off"}, []string{":1"}, ""},
		{[]string{"AUTH_ISSUER=https://id.example"}, []string{":1"}, ""},
		{[]string{"AUTH_ISSUER=http://127.0.0.1:9/x"}, nil, ""},
		{[]string{"AUTH=on"}, nil, "AUTH"},
		{[]string{"AUTH=off", "AUTH_ISSUER=https://id.example"}, nil, "AUTH"},
		{[]string{"AUTH_ISSUER=http://id.example"}, nil, "AUTH_ISSUER"},
		{[]string{"AUTH_ISSUER=https://id.example?x"}, nil, "AUTH_ISSUER"},
	} {
		cfg, err := config.Load[auth.Config](c.env)
		if err == nil {
			err = cfg.Exposed(c.addrs...)
		}
		wrong, _ := errors.AsType[*fault.Error](err)
		if (err == nil) != (c.wrong == "") || err != nil && (wrong == nil || wrong.Field != c.wrong) {
			t.Errorf("%v on %v: %v", c.env, c.addrs, err)
		}
	}
}
