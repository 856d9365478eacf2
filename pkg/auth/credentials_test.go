package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

func TestAServiceAsksAnotherWithATokenOfItsOwn(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	r := httpdoor.NewRouter()
	r.With(authtest.Guard(t, issuer.Config()).Routes(auth.Table{"GET /": auth.Operator})).
		Get("/", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(auth.CallerOf(r.Context()).Subject))
		})
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	ask := func(c *http.Client) (int, error) {
		resp, err := c.Get(srv.URL)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}

	file := filepath.Join(t.TempDir(), "secret")
	say := func(secret string) {
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("of before")
	by, err := config.Load[auth.Credentials]([]string{"AUTH_CLIENT_ID=console", "AUTH_CLIENT_SECRET_FILE=" + file})
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: by.Transport(issuer.URL, http.DefaultTransport)}
	if code, err := ask(c); err == nil {
		t.Errorf("with a wrong secret: %d", code)
	}
	say(authtest.Secret) // rotated
	for range 2 {
		if code, err := ask(c); err != nil || code != http.StatusOK {
			t.Errorf("%d, %v", code, err)
		}
	}
	if n := issuer.Given(); n != 1 {
		t.Errorf("%d tokens for two requests", n)
	}
	without := &http.Client{Transport: by.Transport("", http.DefaultTransport)}
	if code, err := ask(without); err != nil || code != http.StatusUnauthorized {
		t.Errorf("without an issuer: %d, %v", code, err)
	}
}

// Each request would wait for an issuer that does not answer, one after the other.
func TestAnIssuerThatFailsIsNotAskedByEveryRequest(t *testing.T) {
	var away atomic.Bool
	var asked atomic.Int32
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, srv.URL, srv.URL+"/token")
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"token_type":"Bearer","access_token":"x"}`))
	})
	tokens := auth.Credentials{ClientID: "console", Secret: config.NewSecret(authtest.Secret)}.Source(srv.URL)
	away.Store(true)
	for range 5 {
		if token, err := tokens.Token(); fault.ClassOf(err) != fault.Unavailable {
			t.Errorf("%v, %v", token, err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	away.Store(false)
	token, err := tokens.Token()
	tick, limit := time.Tick(time.Millisecond), time.Now().Add(20*time.Second)
	for ; err != nil && time.Now().Before(limit); <-tick {
		token, err = tokens.Token()
	}
	if err != nil {
		t.Fatal(err)
	}
	// An issuer need not say how long a token is good (RFC 6749, 5.1).
	if left := time.Until(token.Expiry); left <= 0 || left > time.Minute {
		t.Errorf("good for %s", left)
	}
}
