package web_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/web"
)

// hostile is what a customer may send that must never be markup.
const hostile = `"><script>alert(1)</script>`

type page struct {
	*consoletest.Stage
	query *consoletest.Query
	url   string
}

func open(t *testing.T) *page {
	t.Helper()
	s := consoletest.New(t)
	query := consoletest.NewQuery(t)
	asked := orders.New(query.URL, "", auth.Credentials{})
	desk, err := httpapi.New(s.Model, asked, s.Log, nil, viewtest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages := web.New(s.Model, asked, s.Log, desk, web.Config{QueryURL: "http://127.0.0.1:8084", TraceURL: "http://traces.example/{trace_id}"})
	s.Play()
	srv := httptest.NewServer(desk.Handler(auth.New(auth.Config{}), pages.Routes, pages.Static))
	t.Cleanup(srv.Close)
	return &page{s, query, srv.URL}
}

// put puts records into the log, and says where they lie.
func (p *page) put(records ...broker.Record) []broker.Record {
	for i := range records {
		p.Put(records[i])
		tp := broker.TopicPartition{Topic: records[i].Topic, Partition: records[i].Partition}
		ends, err := p.Log.Ends(p.T.Context(), []broker.TopicPartition{tp})
		if err != nil {
			p.T.Fatal(err)
		}
		records[i].Offset = ends[tp] - 1
	}
	return records
}

// order is one of a customer that was refunded in the end.
func order(id, customer string) queryapi.Order {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return queryapi.Order{
		ID: id, Version: 1, CustomerID: customer, Status: "cancelled", Total: 2500, Currency: "EUR", PlacedAt: at,
		ConfirmedAt: at.Add(90 * time.Millisecond), Settled: true, SettledAt: at.Add(time.Hour),
		Payment:       queryapi.Payment{Status: "refunded"},
		Notifications: []queryapi.Notification{{Kind: "refunded", Status: "failed"}},
	}
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
	id := viewtest.ID("a")
	records := p.put(p.Refunded(id, hostile)...)
	p.query.Knows(order(id, hostile), records...)
	p.shows("/orders", id, "cancelled", "refunded", "&lt;script&gt;", "90 ms")
	p.shows("/orders?status=confirmed", "No order is like that")
	p.shows("/orders/"+id, "OrderPlaced", "PaymentRefunded", "NotificationFailed", "compensation", "25.00 EUR", "&lt;script&gt;", "order.events.v1/",
		"curl -s http://127.0.0.1:8084/orders/"+id, "90 ms")
	text := p.get("/orders/"+id, http.StatusOK)
	if strings.Contains(text, storiestest.Email) || strings.Contains(text, storiestest.PaymentMethod) {
		t.Error("the story shows what is private")
	}
	if strings.Count(text, `class="fold"`) != len(records) || !strings.Contains(text, ">read model</text>") {
		t.Errorf("the read model's line does not have the %d facts", len(records))
	}
	if got := p.get("/orders/"+viewtest.ID("nobody"), http.StatusNotFound); !strings.Contains(got, "no such order") {
		t.Error(got)
	}
	if got := p.get("/orders?page=nonsense", http.StatusBadRequest); !strings.Contains(got, "page_token") {
		t.Error(got)
	}
}

// An event leads to its trace, and shows what headers its record has beside the envelope.
func TestStoryLeadsToTheTrace(t *testing.T) {
	p := open(t)
	id, trace := viewtest.ID("a"), "4bf92f3577b34da6a3ce929d0e0e4736"
	placed := p.Placed(id, "c-1")
	placed.Headers = append(placed.Headers, broker.HeadersOf("ce_traceparent", "00-"+trace+"-00f067aa0ba902b7-01", "tracestate", "<i>=\xff")...)
	p.query.Knows(order(id, "c-1"), p.put(placed)...)
	p.shows("/orders/"+id, `<a href="http://traces.example/`+trace+`">open trace</a>`, "header tracestate", "&lt;i&gt;=\ufffd")
}

// While query cannot say, neither can the pages that need it; the others are whole.
func TestPagesWithoutQuery(t *testing.T) {
	p := open(t)
	id := viewtest.ID("a")
	p.query.Knows(order(id, "c-1"), p.put(p.Placed(id, "c-1"))...)
	p.query.Down(true)
	p.Caught()
	for _, path := range []string{"/orders", "/orders/" + id} {
		if text := p.get(path, http.StatusServiceUnavailable); !strings.Contains(text, "asks again") {
			t.Errorf("%s: %s", path, text)
		}
	}
	p.shows("/dead-letters", "Nothing waits")
	p.query.Down(false)
	p.shows("/orders/"+id, "OrderPlaced")
}

func TestWhatWaitsComesFirst(t *testing.T) {
	p := open(t)
	stuck := order(viewtest.ID("stuck"), "c-2")
	stuck.Settled, stuck.ConfirmedAt, stuck.SettledAt = false, time.Time{}, time.Time{}
	at := stuck.PlacedAt
	p.query.Knows(order(viewtest.ID("done"), "c-1"))
	for step, change := range map[string]func(o *queryapi.Order){
		"payment to charge it": func(o *queryapi.Order) {
			o.Status, o.Payment.Status = "placed", "pending"
		},
		"order to confirm it": func(o *queryapi.Order) {
			o.Status, o.Payment = "placed", queryapi.Payment{Status: "succeeded", DecidedAt: at}
		},
		"order to cancel it": func(o *queryapi.Order) {
			o.Status, o.Payment = "placed", queryapi.Payment{Status: "declined", DecidedAt: at}
		},
		"payment to refund it": func(o *queryapi.Order) {
			o.Payment, o.Cancellation = queryapi.Payment{Status: "succeeded"}, &queryapi.Cancellation{CancelledAt: at}
		},
		"payment to say what became of the charge": func(o *queryapi.Order) {
			o.Payment, o.Cancellation = queryapi.Payment{Status: "pending"}, &queryapi.Cancellation{CancelledAt: at}
		},
	} {
		o := stuck
		change(&o)
		p.query.Knows(o)
		text := p.get("/orders", http.StatusOK)
		if stuck, done := strings.Index(text, viewtest.ID("stuck")), strings.Index(text, viewtest.ID("done")); stuck < 0 || done < stuck {
			t.Errorf("the order that waits is at %d, the other at %d", stuck, done)
		}
		p.shows("/orders", step)
	}
}

func TestDeadLetters(t *testing.T) {
	p := open(t)
	id := viewtest.ID("a")
	placed := p.put(p.Placed(id, "c-1"))[0]
	asked := p.put(p.Request("order", id, &orderv1.OrderCancellationRequested{}, broker.Record{}))[0]
	p.Park("payment", "permanent", hostile, placed, asked)
	p.query.Knows(order(id, "c-1"), placed, p.Letter("payment", placed, "permanent", hostile, ""))
	p.Caught()
	p.shows("/dead-letters", "permanent", "OrderPlaced", "&lt;script&gt;", "/dead-letters/payment/"+id)
	p.shows("/dead-letters?participant=order", "Nothing waits")
	p.shows("/dead-letters/payment/"+id, "1. OrderPlaced", "2. OrderCancellationRequested", "waits behind", "&lt;script&gt;", "ce_id")
	p.shows("/orders/"+id, "dead letter: OrderPlaced", `class="parked"`, "Parked by payment")
	p.get("/dead-letters/payment/"+viewtest.ID("nobody"), http.StatusNotFound)
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

// All pages of a browser share one stream, which tells what query tells of each order.
func TestStoryIsLive(t *testing.T) {
	p := open(t)
	id, other := viewtest.ID("a"), viewtest.ID("b")
	p.query.Tell(id, "order", `{}`)
	p.query.Tell(id, "story", `{"version":1}`)
	p.query.Tell(other, "story", `{"version":2}`)
	resp := p.open("/live?order=" + id + "&order=" + other)
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	first := []string{event(t, lines, "order"), event(t, lines, "order")}
	slices.Sort(first)
	want := []string{fmt.Sprintf("%q", id), fmt.Sprintf("%q", other)}
	slices.Sort(want)
	if !slices.Equal(first, want) {
		t.Errorf("%q, not %q", first, want)
	}
	p.query.Tell(id, "exception", `{"kind":"retried","order_id":"x"}`)
	if got := event(t, lines, "order"); got != fmt.Sprintf("%q", id) {
		t.Error(got)
	}
	p.get("/static/stream.js", http.StatusOK) // which bears a policy of its own

	many := p.open("/live?order=x" + strings.Repeat("&order=x", 64))
	_ = many.Body.Close()
	if many.StatusCode != http.StatusBadRequest {
		t.Errorf("65 orders on one stream: %s", many.Status)
	}
}

func TestLongStoryStaysUsable(t *testing.T) {
	p := open(t)
	id := viewtest.ID("a")
	records := p.put(p.Confirmed(id, "c-1")...)
	last := p.Request("order", id, &orderv1.OrderCancellationRequested{}, broker.Record{})
	for range 200 {
		records = append(records, p.put(last)...)
		last = p.Request("order", id, &orderv1.OrderCancellationRequested{}, last)
	}
	p.query.Knows(order(id, "c-1"), records...)
	text := p.get("/orders/"+id, http.StatusOK)
	if n := strings.Count(text, `<tr id="event-`); n < 200 || len(text) > 1<<20 {
		t.Errorf("%d events in %d bytes", n, len(text))
	}
}

// The page of statistics is there when somebody writes some.
func TestStatisticsAreShownWhereThereAreSome(t *testing.T) {
	p := open(t)
	if text := p.get("/statistics", http.StatusNotFound); !strings.Contains(text, "docs/statistics.md") {
		t.Error(text)
	}
	p = open(t)
	if err := p.Log.Provision(t.Context(), []broker.Topic{{Name: "statistics.v1", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	day := time.Now().UTC().Truncate(24 * time.Hour).Format(time.RFC3339)
	for key, value := range map[string]string{
		`{"figure":"revenue","kind":"EUR","since":"` + day + `"}`: `{"n":2,"amount":5000,"share":null}`,
		hostile: `{}`,
	} {
		p.Log.Append(broker.TopicPartition{Topic: "statistics.v1"}, broker.Record{Key: []byte(key), Value: []byte(value), Time: time.Now()})
	}
	p.shows("/statistics", `<a href="/statistics" aria-current="page">`, "50.00 EUR from 2 confirmed", "different")
	p.query.Down(true)
	p.shows("/statistics", "50.00 EUR from 2 confirmed", "not compared")
	p.Log.Grow("statistics.v1", 3)
	text := p.get("/statistics", http.StatusConflict)
	if !strings.Contains(text, "has several partitions, and must have one") {
		t.Error(text)
	}
}
