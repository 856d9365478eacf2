package auth_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/config"
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
