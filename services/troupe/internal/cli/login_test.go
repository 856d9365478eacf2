package cli

import (
	"testing"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/login"
	"golang.org/x/oauth2"
)

func TestWhoseTokenACommandShows(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("TROUPE_DIR", t.TempDir()) // no playground
	t.Setenv("TROUPE_TOKEN", "")
	shown := func(urls ...string) string {
		of := tokens("c-1001", urls...)
		if of == nil {
			return ""
		}
		token, err := of("")
		if err != nil {
			t.Error(err)
		}
		return token
	}
	if got := shown("https://shop.example.com"); got != "" {
		t.Errorf("nobody is signed in: %q", got)
	}
	l := login.Login{Issuer: "https://id.example.com", Token: &oauth2.Token{AccessToken: "kept", Expiry: time.Now().Add(time.Hour)}}
	if err := l.Keep(); err != nil {
		t.Fatal(err)
	}
	if got := shown("https://shop.example.com", "http://127.0.0.1:1"); got != "kept" {
		t.Errorf("signed in: %q", got)
	}
	if got := shown("https://shop.example.com", "http://shop.example.com"); got != "" {
		t.Errorf("in the clear: %q", got)
	}
	t.Setenv("TROUPE_TOKEN", "said")
	if got := shown("https://shop.example.com"); got != "said" {
		t.Errorf("TROUPE_TOKEN: %q", got)
	}
}
