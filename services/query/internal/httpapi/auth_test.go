package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/httpapi"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// guarded is a door for whom an issuer knows.
type guarded struct {
	*door
	issuer *authtest.Issuer
}

func openGuarded(t *testing.T) guarded {
	issuer := authtest.NewIssuer(t)
	cfg := httpapi.Config{Guard: authtest.Guard(t, issuer.Config()), PerClient: 2, MaxStreams: 100}
	return guarded{open(t, cfg), issuer}
}

func (g guarded) as(subject string, roles ...auth.Role) []string {
	return []string{"Authorization", "Bearer " + g.issuer.Token(subject, roles...)}
}

func TestEveryTokenAtEveryRoute(t *testing.T) {
	s := querytest.New(t)
	s.Play()
	s.Caught()
	tail := story.NewTail(s.Log, readmodel.Topics, viewtest.Partitions)
	s.Run(tail.Run)
	issuer := authtest.NewIssuer(t)
	api, err := httpapi.New(s.Model, s.Log, tail, httpapi.Config{Guard: authtest.Guard(t, issuer.Config())})
	if err != nil {
		t.Fatal(err)
	}
	authtest.Routes(t, issuer, api.Handler(func(r chi.Router) { lifecycle.NewHealth().Routes(r) }), auth.Table{
		"GET /orders": auth.AnyCaller, "GET /orders/{id}": auth.AnyCaller, "GET /orders/{id}/events": auth.AnyCaller,
		"GET /orders/{id}/stream": auth.AnyCaller, "GET /stream": auth.AnyCaller, "GET /stats": auth.Viewer,
		"GET /rebuild": auth.Viewer, "POST /rebuild": auth.Operator, "DELETE /rebuild": auth.Operator,
	}, "GET /livez", "GET /readyz", "GET /servez")
}

// An answer that differs in anything but the id, or comes later, would tell that the order exists.
func TestAnothersOrderIsAsIfItWereNotThere(t *testing.T) {
	d := openGuarded(t)
	id, none := viewtest.ID("o"), viewtest.ID("none")
	d.Put(d.Placed(id, "cy"))
	d.Caught()
	for _, path := range []string{"", "?until=settled", "/events", "/stream", "/stream?story=true"} {
		get := func(id string, as []string) (code int, body string, took time.Duration) {
			began := time.Now()
			resp := d.get(t.Context(), "/orders/"+id+path, as...)
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusOK { // a stream has no end
				text, _ := io.ReadAll(resp.Body)
				body = strings.ReplaceAll(string(text), id, "ID")
			}
			return resp.StatusCode, body, time.Since(began)
		}
		bob := append(d.as("bob"), "Prefer", "wait=20") // for an order of his own
		code, others, took := get(id, bob)
		if code != http.StatusNotFound || took > 15*time.Second {
			t.Errorf("another's %q: %d after %s", path, code, took)
		}
		if _, body, _ := get(none, bob); body != others {
			t.Errorf("%q of none: %s\nof another: %s", path, body, others)
		}
		for who, as := range map[string][]string{"its customer": d.as("cy"), "a viewer": d.as("eve", auth.Viewer)} {
			if code, body, _ := get(id, as); code != http.StatusOK {
				t.Errorf("%q as %s: %d %s", path, who, code, body)
			}
		}
	}
}

func TestCustomersListTheirOwnOrders(t *testing.T) {
	d := openGuarded(t)
	cys, bobs := viewtest.ID("a"), viewtest.ID("b")
	d.Put(d.Placed(cys, "cy"), d.Placed(bobs, "bob"))
	d.Caught()
	for _, c := range []struct {
		path string
		as   []string
		want []string
	}{
		{"/orders", d.as("cy"), []string{cys}},
		{"/orders?customer_id=cy", d.as("cy"), []string{cys}},
		{"/orders?status=placed", d.as("bob"), []string{bobs}},
		{"/orders", d.as("nobody"), nil},
		{"/orders?customer_id=cy", d.as("eve", auth.Viewer), []string{cys}},
		{"/orders", d.as("eve", auth.Viewer), []string{bobs, cys}},
	} {
		page, _ := read[httpapi.OrderPage](d.door, c.path, c.as...)
		var got []string
		for _, o := range page.Orders {
			got = append(got, o.ID)
		}
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: %v, not %v", c.path, got, c.want)
		}
	}
	p := refused(d.door, "/orders?customer_id=cy", d.as("bob")...)
	if p.Status != http.StatusForbidden || p.Errors[0].Field != "customer_id" {
		t.Errorf("another's: %+v", p)
	}
}

// A page's token holds the last place that was looked at, in the clear: with few hits among many orders, that is none
// of the hits.
func TestPageTokensNameOnesOwnOrders(t *testing.T) {
	d := openGuarded(t)
	for i := range 12 {
		d.Put(d.Placed(viewtest.ID(fmt.Sprint("bob's ", i)), "bob"))
	}
	own := map[string]bool{}
	for i := range 3 {
		id := viewtest.ID(fmt.Sprint("cy's ", i))
		own[id] = true
		d.Put(d.Placed(id, "cy"))
	}
	d.Caught()
	for _, query := range []string{"", "&open=true", "&status=placed", "&open=true&status=placed"} {
		listed, next := map[string]bool{}, ""
		for {
			page, _ := read[httpapi.OrderPage](d.door, "/orders?page_size=1"+query+"&page_token="+next, d.as("cy")...)
			for _, o := range page.Orders {
				listed[o.ID] = true
			}
			if next = page.NextPageToken; next == "" {
				break
			}
			var at view.Cursor
			raw, err := base64.RawURLEncoding.DecodeString(next)
			if err != nil || json.Unmarshal(raw, &at) != nil || !own[at.ID] {
				t.Fatalf("%q: the token names %q, %v", query, at.ID, err)
			}
		}
		if !maps.Equal(listed, own) {
			t.Errorf("%q: %v, not %v", query, listed, own)
		}
	}
}

func TestCustomersWatchTheirOwnEvents(t *testing.T) {
	d := openGuarded(t)
	before := viewtest.ID("before")
	early := d.Confirmed(before, "cy")
	d.Put(early[0])
	d.Caught()
	cys, all := d.stream("/stream", d.as("cy")...), d.stream("/stream", d.as("eve", auth.Viewer)...)
	others := append(d.Confirmed(viewtest.ID("b"), "bob"), d.Confirmed(viewtest.ID("nobody's"), "cy")[1])
	d.Put(others...)
	d.Put(early[1])
	for range len(others) + 1 {
		all.next(t)
	}
	d.Put(early[2]) // between the two lie bob's, and one of an order that nobody knows
	for range 2 {
		if got := cys.next(t); !strings.Contains(got.data, before) {
			t.Errorf("another's: %+v", got)
		}
	}
}

func TestStreamsEndWithTheToken(t *testing.T) {
	d := openGuarded(t)
	id := viewtest.ID("o")
	d.Put(d.Placed(id, "cy"))
	d.Caught()
	for _, path := range []string{"/orders/" + id + "/stream", "/stream"} {
		expires := time.Now().Add(5 * time.Second).Truncate(time.Second)
		token := d.issuer.Sign(d.issuer.Claims("cy").But("exp", expires.Unix()))
		stream := d.stream(path, "Authorization", "Bearer "+token)
		cut := time.AfterFunc(20*time.Second, func() { _ = stream.body.Close() })
		for stream.lines.Scan() { // until the server ends it
		}
		cut.Stop()
		if late := time.Since(expires); stream.lines.Err() != nil || late < 0 || late > 10*time.Second {
			t.Errorf("%s ended %s after its token did: %v", path, late, stream.lines.Err())
		}
	}
}

// A subject has its share of streams, wherever it comes from.
func TestStreamsOfASubjectAreLimited(t *testing.T) {
	d := openGuarded(t)
	for range 2 {
		d.stream("/stream", d.as("cy")...)
	}
	if p := refused(d.door, "/stream", d.as("cy")...); p.Status != http.StatusTooManyRequests {
		t.Errorf("the third: %+v", p)
	}
	d.stream("/stream", d.as("bob")...) // of the same address
}
