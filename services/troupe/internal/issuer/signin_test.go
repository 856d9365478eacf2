package issuer_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/troupe/internal/issuer"
	"golang.org/x/oauth2"
)

// console is a service whose only page says who is signed in.
func console(t *testing.T, at string) string {
	g := authtest.Guard(t, auth.Config{Issuer: at, Audience: issuer.Audience, RolesClaim: "roles"})
	r := httpdoor.NewRouter()
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	g.SignIn(auth.SignIn{URL: srv.URL, Scopes: []string{"openid"}},
		auth.Credentials{ClientID: issuer.Console, Secret: config.NewSecret(secret)}, authtest.Notice)
	g.SignInRoutes(r)
	r.With(g.Routes(auth.Table{"GET /": auth.Viewer})).Get("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello "+auth.CallerOf(r.Context()).Subject)
	})
	return srv.URL
}

// browse asks as a browser does, which follows redirects, and returns the page.
func browse(t *testing.T, c *http.Client, method, at string, form url.Values) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

var named = regexp.MustCompile(`name="request" value="([^"]*)"`)

func TestOneClickSignsInToTheConsole(t *testing.T) {
	at := serve(t)
	page := console(t, at)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar}
	resp, body := browse(t, c, http.MethodGet, page, nil)
	found := named.FindStringSubmatch(body)
	if found == nil || !strings.HasPrefix(resp.Request.URL.String(), at+"/choose") {
		t.Fatalf("%s: %s", resp.Request.URL, body)
	}
	choose := func(as string) (*http.Response, string) {
		return browse(t, c, http.MethodPost, at+"/choose", url.Values{"request": {found[1]}, "as": {as}})
	}
	if resp, _ := choose("c-1001"); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a customer: %s", resp.Status)
	}
	if resp, body = choose("viewer"); body != "hello viewer" || resp.Request.URL.String() != page+"/" {
		t.Errorf("%s: %s", resp.Request.URL, body)
	}
	if resp, _ := choose("admin"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("once more: %s", resp.Status)
	}
}

func TestNobodyElseIsSentACode(t *testing.T) {
	at := serve(t)
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	good := url.Values{
		"client_id": {issuer.Console}, "redirect_uri": {"http://127.0.0.1:1/sign-in/callback"}, "response_type": {"code"},
		"scope": {"openid"}, "state": {"s"}, "code_challenge": {"c"}, "code_challenge_method": {"S256"},
	}
	for name, value := range map[string]string{
		"": "", "client_id": "ada", "redirect_uri": "http://evil.example/sign-in/callback", "code_challenge": "",
		"code_challenge_method": "plain", "response_type": "token",
	} {
		asked := url.Values{}
		for k, v := range good {
			asked[k] = v
		}
		asked.Set(name, value)
		resp, _ := browse(t, c, http.MethodGet, at+"/authorize?"+asked.Encode(), nil)
		if to := resp.Header.Get("Location"); strings.HasPrefix(to, at+"/choose") != (name == "") || strings.Contains(to, "evil") {
			t.Errorf("%s=%s: %s to %q", name, value, resp.Status, to)
		}
	}
}

func TestATerminalSignsInByAPage(t *testing.T) {
	at := serve(t)
	provider, err := oidc.NewProvider(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	cli := oauth2.Config{ClientID: issuer.CLI, Endpoint: provider.Endpoint()}
	device, err := cli.DeviceAuth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	early := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device.DeviceCode}, "client_id": {issuer.CLI},
	}
	if _, body := browse(t, http.DefaultClient, http.MethodPost, issuer.TokenURL(at), early); !strings.Contains(body, "authorization_pending") {
		t.Errorf("before anybody has chosen: %s", body)
	}
	resp, body := browse(t, http.DefaultClient, http.MethodGet, device.VerificationURIComplete, nil)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "<strong>"+device.UserCode+"</strong>") {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	choose := url.Values{"request": {device.UserCode}, "as": {"operator"}}
	if resp, body = browse(t, http.DefaultClient, http.MethodPost, at+"/choose", choose); !strings.Contains(body, "signed in as operator") {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	token, err := cli.DeviceAccessToken(t.Context(), device)
	if err != nil {
		t.Fatal(err)
	}
	if code := api(t, at)(token.AccessToken, auth.Operator); code != http.StatusOK {
		t.Errorf("its token: %d", code)
	}
	if token, err := cli.DeviceAccessToken(t.Context(), device); err == nil {
		t.Errorf("once more: %v", token)
	}
}
