package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/web"
)

// signing serves a console that people sign in to.
func signing(t *testing.T, issuer *authtest.Issuer) (*consoletest.Stage, http.Handler) {
	s := consoletest.New(t)
	query := orders.New(consoletest.NewQuery(t).URL, "", auth.Credentials{})
	desk, err := httpapi.New(s.Model, query, s.Log, nil, viewtest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages := web.New(s.Model, query, s.Log, desk, web.Config{})
	s.Play()
	guard := authtest.Guard(t, issuer.Config())
	cfg, as := authtest.SignInConfig("")
	guard.SignIn(cfg, as, pages.Notice)
	return s, desk.Handler(guard, pages.Routes, pages.Static)
}

func TestPagesSayWhoIsSignedInAndShowNothingToOthers(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	s, h := signing(t, issuer)
	id := viewtest.ID("a")
	placed := s.Placed(id, "c-1")
	s.Put(placed)
	s.Park("payment", "permanent", "no", placed)
	s.Caught()
	chain := "/dead-letters/payment/" + id

	nobody := authtest.NewBrowser(t, h)
	if w := nobody.Ask(http.MethodGet, auth.SignOutPath); strings.Contains(w.Body.String(), "<nav") || !strings.Contains(w.Body.String(), `href="/sign-in"`) {
		t.Errorf("signed out: %s", w.Body)
	}
	if w := nobody.Ask(http.MethodGet, "/static/style.css"); w.Code != http.StatusOK {
		t.Errorf("the style of that page: %d", w.Code)
	}
	for role, sees := range map[auth.Role]bool{auth.Viewer: false, auth.Operator: true} {
		b := authtest.NewBrowser(t, h)
		b.Session(issuer, issuer.Claims("grace", role))
		w := b.Ask(http.MethodGet, "/dead-letters")
		for text, want := range map[string]bool{">grace</span>": true, `action="/sign-out"`: true, "data-bulk": sees} {
			if strings.Contains(w.Body.String(), text) != want {
				t.Errorf("a %s's page has %q: %v", role, text, !want)
			}
		}
		w = b.Ask(http.MethodGet, chain)
		if shown := strings.Contains(w.Body.String(), storiestest.Email); shown != sees || (w.Code == http.StatusOK) != sees {
			t.Errorf("a %s's %s: %d", role, chain, w.Code)
		}
		if !sees && !strings.Contains(w.Body.String(), "For grace: this needs the role operator.") {
			t.Errorf("a %s is told: %s", role, w.Body)
		}
	}
	if w := nobody.Ask(http.MethodGet, auth.CallbackPath+"?state=x&error="+hostile); strings.Contains(w.Body.String(), "<script>alert") {
		t.Error("what the issuer says is markup")
	}
}

func TestLiveEndsWithTheSession(t *testing.T) {
	issuer := authtest.NewIssuer(t)
	_, h := signing(t, issuer)
	expires := time.Now().Add(5 * time.Second).Truncate(time.Second)
	cookie := authtest.NewBrowser(t, h).Session(issuer, issuer.Claims("grace", auth.Viewer).But("exp", expires.Unix()))
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", cookie)
	client := http.Client{Timeout: 15 * time.Second}
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || time.Now().Before(expires) {
		t.Errorf("ended %s after the session: %v", time.Since(expires), err)
	}
}
