package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/query/internal/console"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/web"
)

// hostile is what a customer may send that must never be markup.
const hostile = `"><script>alert(1)</script>`

type page struct {
	*querytest.Stage
	url string
	// Hold ends the projection.
	Hold func()
}

func open(t *testing.T) *page {
	t.Helper()
	s := querytest.New(t)
	jobs := console.NewJobs()
	desk, err := console.New(s.Model, s.Log, nil, jobs, querytest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := web.New(s.Model, s.Log, desk, web.Config{Customers: "127.0.0.1:8084", TraceURL: "http://traces.example/{trace_id}"})
	if err != nil {
		t.Fatal(err)
	}
	stop := s.Play()
	s.Run(jobs.Run)
	srv := httptest.NewServer(desk.Handler(auth.New(auth.Config{}), pages.Routes))
	t.Cleanup(srv.Close)
	return &page{s, srv.URL, stop}
}

func (p *page) open(path string) *http.Response {
	p.T.Helper()
	req, err := http.NewRequestWithContext(p.T.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.T.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.T.Fatal(err)
	}
	return resp
}

func (p *page) get(path string, want int) string {
	p.T.Helper()
	resp := p.open(path)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		p.T.Fatalf("%s: %s, not %d: %v", path, resp.Status, want, err)
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		p.T.Errorf("%s: policy %q", path, policy)
	}
	return string(text)
}

func (p *page) shows(path string, want ...string) {
	p.T.Helper()
	text := p.get(path, http.StatusOK)
	for _, w := range want {
		if !strings.Contains(text, w) {
			p.T.Errorf("%s does not show %q", path, w)
		}
	}
	if strings.Contains(text, "<script>alert") || strings.Contains(text, "<script>") {
		p.T.Errorf("%s holds a script of somebody's", path)
	}
}

func TestEmptyPagesSayHowToFillThem(t *testing.T) {
	p := open(t)
	p.Caught()
	p.shows("/orders", "bin/troupe place", "make demo")
	p.shows("/dead-letters", "Nothing waits")
}

func TestStoryOfAnOrder(t *testing.T) {
	p := open(t)
	id := querytest.ID("a")
	p.Put(p.Refunded(id, hostile)...)
	p.Caught()
	p.shows("/orders", id, "cancelled", "refunded", "&lt;script&gt;")
	p.shows("/orders?status=confirmed", "No order is like that")
	p.shows("/orders/"+id, "OrderPlaced", "PaymentRefunded", "NotificationFailed", "compensation", "25.00 EUR", "&lt;script&gt;", "order.events.v1/",
		"curl -s http://127.0.0.1:8084/orders/"+id)
	text := p.get("/orders/"+id, http.StatusOK)
	if strings.Contains(text, querytest.Email) || strings.Contains(text, querytest.PaymentMethod) {
		t.Error("the story shows what is private")
	}
	if facts := len(p.Refunded(id, hostile)); strings.Count(text, `class="fold"`) != facts || !strings.Contains(text, ">read model</text>") {
		t.Errorf("the read model's line does not have the %d facts", facts)
	}
	if got := p.get("/orders/"+querytest.ID("nobody"), http.StatusNotFound); !strings.Contains(got, "no such order") {
		t.Error(got)
	}
	if got := p.get("/orders?page=nonsense", http.StatusBadRequest); !strings.Contains(got, "page_token") {
		t.Error(got)
	}
}

// An event leads to its trace, and shows what headers its record has beside the envelope.
func TestStoryLeadsToTheTrace(t *testing.T) {
	p := open(t)
	id, trace := querytest.ID("a"), "4bf92f3577b34da6a3ce929d0e0e4736"
	placed := p.Placed(id, "c-1")
	placed.Headers = append(placed.Headers, broker.HeadersOf("ce_traceparent", "00-"+trace+"-00f067aa0ba902b7-01", "tracestate", "<i>=\xff")...)
	p.Put(placed)
	p.Caught()
	p.shows("/orders/"+id, `<a href="http://traces.example/`+trace+`">open trace</a>`, "header tracestate", "&lt;i&gt;=\ufffd")
}

func TestOrderOfThisMomentIsNotMissing(t *testing.T) {
	p := open(t)
	p.Caught()
	id := querytest.ID("new")
	p.Hold()
	p.Put(p.Placed(id, "c-1"))
	p.get("/orders/"+id, http.StatusServiceUnavailable) // it may be there, and nobody can say yet
	p.Play()
	p.Caught()
	p.shows("/orders/"+id, "OrderPlaced")
	p.get("/orders/"+querytest.ID("nobody"), http.StatusNotFound)
}

func TestWhatWaitsComesFirst(t *testing.T) {
	p := open(t)
	p.Put(p.Confirmed(querytest.ID("done"), "c-1")...)
	p.Put(p.Placed(querytest.ID("stuck"), "c-2"))
	p.Caught()
	text := p.get("/orders", http.StatusOK)
	if stuck, done := strings.Index(text, querytest.ID("stuck")), strings.Index(text, querytest.ID("done")); stuck < 0 || done < stuck {
		t.Errorf("the order that waits is at %d, the other at %d", stuck, done)
	}
	p.shows("/orders", "payment to charge it")
}

func TestDeadLetters(t *testing.T) {
	p := open(t)
	id := querytest.ID("a")
	placed := p.Placed(id, "c-1")
	p.Put(placed)
	asked := p.Next(0, id, &orderv1.OrderCancellationRequested{}, broker.Record{})
	p.Put(asked)
	p.Park("payment", "permanent", hostile, placed, asked)
	p.Caught()
	p.shows("/dead-letters", "permanent", "OrderPlaced", "&lt;script&gt;", "/dead-letters/payment/"+id)
	p.shows("/dead-letters?participant=order", "Nothing waits")
	p.shows("/dead-letters/payment/"+id, "1. OrderPlaced", "2. OrderCancellationRequested", "waits behind", "&lt;script&gt;", "ce_id")
	p.shows("/orders/"+id, "dead letter: OrderPlaced", `class="parked"`, "Parked by payment")
	p.get("/dead-letters/payment/"+querytest.ID("nobody"), http.StatusNotFound)
}

// versions returns a function that reads a stream until it says a version of an order.
func versions(t *testing.T, body io.Reader) func(order string, version int) {
	lines := bufio.NewScanner(body)
	return func(order string, version int) {
		t.Helper()
		want := fmt.Sprintf(`{"order":%q,"version":%d}`, order, version)
		for event(t, lines, "version") != want {
		}
	}
}

func TestOneBrowserHasItsShareOfStreams(t *testing.T) {
	p := open(t)
	for n := range 65 {
		resp := p.open("/live?flow")
		defer func() { _ = resp.Body.Close() }() // all are open at once
		if want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[n < 64]; resp.StatusCode != want {
			t.Fatalf("stream %d: %s, not %d", n+1, resp.Status, want)
		}
	}
}

func TestStoryIsLive(t *testing.T) {
	p := open(t)
	id, other := querytest.ID("a"), querytest.ID("b")
	all := p.Confirmed(id, "c-1")
	p.Put(all[0], p.Placed(other, "c-1"))
	p.Caught()
	resp := p.open("/live?order=" + id + "&order=" + other) // all pages of a browser share one stream
	defer func() { _ = resp.Body.Close() }()
	until := versions(t, resp.Body)
	until(id, 1)
	p.Put(all[1:]...)
	until(id, 4)
	p.Park("notification", "permanent", "no", all[2])
	until(id, 5) // though the order itself did not change
	p.shows("/orders/"+id, `data-version="5"`)
	p.Put(p.Next(0, other, &orderv1.OrderCancellationRequested{}, broker.Record{}))
	until(other, 2)

	again := p.open("/live?order=" + id) // whoever comes back hears at once what there is
	defer func() { _ = again.Body.Close() }()
	versions(t, again.Body)(id, 5)

	p.get("/static/stream.js", http.StatusOK) // which bears a policy of its own

	many := p.open("/live?order=x" + strings.Repeat("&order=x", 64))
	_ = many.Body.Close()
	if many.StatusCode != http.StatusBadRequest {
		t.Errorf("65 orders on one stream: %s", many.Status)
	}
}

func TestLongStoryStaysUsable(t *testing.T) {
	p := open(t)
	id := querytest.ID("a")
	p.Put(p.Confirmed(id, "c-1")...)
	last := p.Next(0, id, &orderv1.OrderCancellationRequested{}, broker.Record{})
	for range 200 {
		p.Put(last)
		last = p.Next(0, id, &orderv1.OrderCancellationRequested{}, last)
	}
	p.Caught()
	text := p.get("/orders/"+id, http.StatusOK)
	if n := strings.Count(text, `<tr id="event-`); n < 200 || len(text) > 1<<20 {
		t.Errorf("%d events in %d bytes", n, len(text))
	}
}
