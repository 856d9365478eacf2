package issuer_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/troupe/internal/issuer"
	"golang.org/x/oauth2"
)

const secret = "the playground's"

func serve(t *testing.T) string {
	var h http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	var err error
	if h, err = issuer.New(srv.URL, secret); err != nil {
		t.Fatal(err)
	}
	return srv.URL
}

// api asks a service for a route that needs a role, and returns the answer's status.
func api(t *testing.T, at string) func(token string, role auth.Role) int {
	g := authtest.Guard(t, auth.Config{Issuer: at, Audience: issuer.Audience, RolesClaim: "roles"})
	return func(token string, role auth.Role) int {
		r := httpdoor.NewRouter()
		r.With(g.Routes(auth.Table{"GET /": role})).Get("/", func(http.ResponseWriter, *http.Request) {})
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w.Code
	}
}

// tokens are what services get that are clients of the issuer.
func tokens(at, subject, secret string) oauth2.TokenSource {
	return auth.Credentials{ClientID: subject, Secret: config.NewSecret(secret)}.Source(at)
}

func TestServicesTakeItsTokens(t *testing.T) {
	at := serve(t)
	ask := api(t, at)
	for subject, may := range map[string][]auth.Role{
		"ada": nil, "viewer": {auth.Viewer}, "operator": {auth.Viewer, auth.Operator},
		"breaker": {auth.Viewer, auth.Breaker}, "admin": auth.Roles,
	} {
		token, err := tokens(at, subject, secret).Token()
		if err != nil {
			t.Fatal(err)
		}
		if code := ask(token.AccessToken, auth.AnyCaller); code != http.StatusOK {
			t.Errorf("%s: %d", subject, code)
		}
		for _, role := range auth.Roles {
			want := http.StatusForbidden
			for _, r := range may {
				if r == role {
					want = http.StatusOK
				}
			}
			if code := ask(token.AccessToken, role); code != want {
				t.Errorf("%s as %s: %d, not %d", subject, role, code, want)
			}
		}
	}
}

func TestWithoutTheSecretThereIsNoToken(t *testing.T) {
	at := serve(t)
	for _, c := range [][2]string{{"ada", "another"}, {"ada", ""}, {"a b", secret}, {"", secret}} {
		if token, err := tokens(at, c[0], c[1]).Token(); err == nil {
			t.Errorf("%q: %v", c, token)
		}
	}
}

// What the playground does not need is refused, by word of the protocol.
func TestOtherGrantsAreNotOffered(t *testing.T) {
	at := serve(t)
	for _, grant := range []string{
		"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code", "password", "",
		"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange",
	} {
		form := url.Values{"grant_type": {grant}, "code": {"c"}, "refresh_token": {"r"}, "device_code": {"d"},
			"assertion":     {"a"},
			"subject_token": {"s"}, "subject_token_type": {"t"}, "redirect_uri": {"u"}}
		body := strings.NewReader(form.Encode())
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer.TokenURL(at), body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("ada", url.QueryEscape(secret))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", grant, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("%q: %s", grant, resp.Status)
		}
	}
}
