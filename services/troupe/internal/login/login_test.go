package login_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/issuer"
	"github.com/troupe-dev/troupe/services/troupe/internal/login"
	"golang.org/x/oauth2"
)

// home is a configuration folder of its own.
func home(t *testing.T) string {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", dir)
	return dir
}

func TestALoginIsKeptForItsOwnerAlone(t *testing.T) {
	dir := home(t)
	if _, ok, err := login.Kept(); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	var h http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	var err error
	if h, err = issuer.New(srv.URL, "secret"); err != nil {
		t.Fatal(err)
	}
	ask := login.Ask{Issuer: srv.URL, ClientID: issuer.CLI, Audience: issuer.Audience, Scopes: []string{"openid"}}
	l, err := login.Begin(t.Context(), ask, func(d *oauth2.DeviceAuthResponse) {
		at, err := url.Parse(d.VerificationURIComplete)
		if err != nil || at.Query().Get("request") != d.UserCode {
			t.Errorf("%v, %v", at, err)
		}
		resp, err := http.PostForm(d.VerificationURI, url.Values{"request": {d.UserCode}, "as": {"operator"}})
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", resp, err)
			return
		}
		_ = resp.Body.Close()
	})
	if err == nil {
		err = l.Keep()
	}
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "troupe", "login.json")
	for name, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if is, err := os.Stat(name); err != nil || is.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, is.Mode(), err)
		}
	}
	if files, err := os.ReadDir(filepath.Dir(file)); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	found, ok, err := login.Kept()
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if token, err := found.AccessToken(); err != nil || token != l.Token.AccessToken {
		t.Errorf("%q, %v", token, err)
	}
	if had, err := login.Forget(); !had || err != nil {
		t.Errorf("forget: %v, %v", had, err)
	}
	if had, err := login.Forget(); had || err != nil {
		t.Errorf("once more: %v, %v", had, err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := login.Kept(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("spoiled: %v", err)
	}
	ask.ClientID = "another"
	if _, err := login.Begin(t.Context(), ask, nil); err == nil {
		t.Error("an unknown client")
	}
	ask.Issuer = authtest.NewIssuer(t).URL
	if _, err := login.Begin(t.Context(), ask, nil); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("an issuer without the grant: %v", err)
	}
}

func TestALoginIsRefreshed(t *testing.T) {
	home(t)
	at := authtest.NewIssuer(t)
	at.Person(at.Claims("grace", auth.Operator))
	old := &oauth2.Token{AccessToken: "old", RefreshToken: at.Refresh(), Expiry: time.Now().Add(-time.Minute)}
	l := login.Login{Issuer: at.URL, ClientID: "troupe", Token: old}
	token, err := l.AccessToken()
	if err != nil || token == "old" {
		t.Fatalf("%q, %v", token, err)
	}
	kept, _, err := login.Kept()
	if err != nil || kept.Token.AccessToken != token || kept.Token.RefreshToken == old.RefreshToken {
		t.Errorf("kept: %v, %v", kept.Token, err)
	}
	l.Token = old // its refresh token was used
	if _, err := l.AccessToken(); err == nil || !strings.Contains(err.Error(), "troupe login") {
		t.Errorf("used: %v", err)
	}
	l.Token = &oauth2.Token{AccessToken: "old", Expiry: old.Expiry}
	if _, err := l.AccessToken(); err == nil || !strings.Contains(err.Error(), "troupe login") {
		t.Errorf("without a refresh token: %v", err)
	}
	at.Away(true)
	l.Token = kept.Token
	l.Token.Expiry = old.Expiry
	if _, err := l.AccessToken(); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("while the issuer is away: %v", err)
	}
}

func TestATokenTravelsByHTTPSOrStaysHere(t *testing.T) {
	for url, want := range map[string]bool{
		"https://shop.example.com": true, "http://127.0.0.1:8081": true, "http://localhost:1": true, "http://[::1]:1": true,
		"http://shop.example.com": false, "http://localhost.example.com": false, "http://192.0.2.1": false, "://": false,
	} {
		if login.Safe(url) != want {
			t.Errorf("%s: %v", url, !want)
		}
	}
}
