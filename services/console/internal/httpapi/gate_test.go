package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
)

func TestGate(t *testing.T) {
	s := consoletest.New(t)
	api, err := httpapi.New(s.Model, orders.New("http://127.0.0.1:1", "", auth.Credentials{}), s.Log, nil, viewtest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	door := httpdoor.Config{Hosts: []string{"desk.example"}}.Guard(api.Handler(auth.New(auth.Config{}), func(r chi.Router) {
		r.Get("/look", func(http.ResponseWriter, *http.Request) {})
		r.Post("/act", func(w http.ResponseWriter, r *http.Request) {
			done++
			_, _ = fmt.Fprint(w, r.PostFormValue("what"))
		})
	}))
	ask := func(method, path, host string, form url.Values, headers ...string) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Host = host
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		text, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.Code, string(text)
	}
	const here = "127.0.0.1:8080"
	same := []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + here}
	form := func(token string) url.Values { return url.Values{"token": {token}, "what": {"it"}} }
	for _, c := range []struct {
		name    string
		form    url.Values
		headers []string
		want    int
	}{
		{"a client that is no browser", nil, nil, 200},
		{"a page without the token", nil, same, 403},
		{"a page of before a restart", nil, append([]string{httpapi.TokenHeader, "AAAA"}, same...), 403},
		{"a script of the page", nil, append([]string{httpapi.TokenHeader, api.Token()}, same...), 200},
		{"a form of the page", form(api.Token()), same, 200},
		{"a form without the token", form(""), same, 403},
		{"a form with too much in it", url.Values{"x": {strings.Repeat("x", 20<<10)}, "token": {api.Token()}}, same, 413},
		{"another site that knows the token", form(api.Token()), []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"an old browser", nil, []string{"Origin", "http://" + here}, 403},
		{"with a cookie", nil, []string{"Cookie", "a=b"}, 403},
		{"with a referrer", nil, []string{"Referer", "http://evil.example/"}, 403},
		{"typed into the address bar", nil, []string{"Sec-Fetch-Site", "none"}, 403},
	} {
		before := done
		got, text := ask("POST", "/act", here, c.form, c.headers...)
		if got != c.want || (got == 200) != (done > before) {
			t.Errorf("%s: %d, not %d, done %d times: %s", c.name, got, c.want, done-before, text)
		}
		if got == 200 && c.form != nil && text != "it" {
			t.Errorf("%s: the form that arrived says %q", c.name, text)
		}
	}
	for host, want := range map[string]int{
		here: 200, "localhost:8080": 200, "LOCALHOST": 200, "troupe.localhost:1": 200, "[::1]:8080": 200, "[::1]": 200, "192.0.2.7": 200,
		"desk.example:443": 200, "desk.example.": 200, "evil.example:8080": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "": 421,
	} {
		if got, text := ask("GET", "/look", host, nil); got != want {
			t.Errorf("Host %q: %d, not %d: %s", host, got, want, text)
		}
	}
}
