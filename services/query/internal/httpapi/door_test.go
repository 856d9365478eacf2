package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/query/internal/httpapi"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// door is a server in front of a stage.
type door struct {
	*querytest.Stage
	url string
}

func open(t *testing.T, cfg httpapi.Config) *door {
	t.Helper()
	s := querytest.New(t)
	s.Play()
	return serve(t, s, cfg)
}

func serve(t *testing.T, s *querytest.Stage, cfg httpapi.Config) *door {
	t.Helper()
	provision(t, s)
	tail := story.NewTail(s.Log, slices.Concat(readmodel.Topics, story.ActivityTopics()), viewtest.Partitions)
	s.Run(tail.Run)
	if cfg.Guard == nil {
		cfg.Guard = auth.New(auth.Config{})
	}
	api, err := httpapi.New(s.Model, s.Log, tail, cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api.Handler(func(chi.Router) {}))
	t.Cleanup(srv.Close)
	return &door{s, srv.URL}
}

// get sends a request; headers are pairs.
func (d *door) get(ctx context.Context, path string, headers ...string) *http.Response {
	d.T.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		d.T.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.T.Fatal(err)
	}
	return resp
}

// read decodes an answer of 200.
func read[A any](d *door, path string, headers ...string) (a A, h http.Header) {
	d.T.Helper()
	resp := d.get(d.T.Context(), path, headers...)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		d.T.Fatalf("GET %s: %s, %v: %s", path, resp.Status, err, body)
	}
	if strings.Contains(string(body), "ada") || strings.Contains(string(body), storiestest.PaymentMethod) {
		d.T.Errorf("GET %s shows what is private: %s", path, body)
	}
	if err := json.Unmarshal(body, &a); err != nil {
		d.T.Fatalf("GET %s: %v: %s", path, err, body)
	}
	return a, resp.Header
}

// refused reads a problem document.
func refused(d *door, path string, headers ...string) problem.Problem {
	d.T.Helper()
	resp := d.get(d.T.Context(), path, headers...)
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK { // a stream has no end
		d.T.Fatalf("GET %s: %s", path, resp.Status)
	}
	var p problem.Problem
	body, _ := io.ReadAll(resp.Body)
	if err := json.Unmarshal(body, &p); err != nil || resp.Header.Get("Content-Type") != problem.ContentType || p.Status != resp.StatusCode {
		d.T.Fatalf("GET %s: %s is no problem document: %s", path, resp.Status, body)
	}
	return p
}

func TestOrderIsShownAfterItsToken(t *testing.T) {
	d := open(t, httpapi.Config{})
	id := viewtest.ID("o")
	token := d.Put(d.Refunded(id, "c-1")...)
	order, _ := read[httpapi.Order](d, "/orders/"+id+"?until=settled", "Consistency-Token", token, "Prefer", "respond-async, wait=20")
	if !order.Settled || len(order.Notifications) != 3 || order.Notifications[2].Status != httpapi.NotificationStatusFailed {
		t.Errorf("after the token of its last mail: %+v", order)
	}
	d.Caught() // the other topics too
	order, h := read[httpapi.Order](d, "/orders/"+id)
	if order.Status != httpapi.OrderStatusCancelled || order.Payment.Status != httpapi.PaymentStatusRefunded || !order.Settled ||
		order.SettledAt.IsZero() || order.Cancellation == nil || order.Cancellation.Reason != httpapi.CancellationReasonCustomer ||
		order.Cancellation.RequestedAt.IsZero() || len(order.Notifications) != 3 || order.Notifications[2].Status != httpapi.NotificationStatusFailed ||
		order.Total != 2500 || len(order.Lines) != 1 || order.CustomerID != "c-1" {
		t.Errorf("%+v", order)
	}
	if want := `"` + strconv.FormatInt(order.Version, 10) + `"`; h.Get("ETag") != want || order.Version != 9 {
		t.Errorf("version %d, ETag %s", order.Version, h.Get("ETag"))
	}
}

func TestOpenOrderIsShownWhenTheWaitEnds(t *testing.T) {
	d := open(t, httpapi.Config{})
	id := viewtest.ID("o")
	token := d.Put(d.Placed(id, "c-1"))
	order, _ := read[httpapi.Order](d, "/orders/"+id+"?until=settled", "Consistency-Token", token, "Prefer", "wait=1")
	if order.Settled || order.Status != httpapi.OrderStatusPlaced || order.Payment.Status != httpapi.PaymentStatusPending {
		t.Errorf("%+v", order)
	}
}

func TestBadRequestsNameTheParameter(t *testing.T) {
	d := open(t, httpapi.Config{})
	d.Caught()
	id := viewtest.ID("o")
	for _, c := range []struct {
		path, field string
		headers     []string
	}{
		{"/orders/not-a-uuid", "id", nil},
		{"/orders/" + strings.ToUpper(id), "id", nil},
		{"/orders/" + id + "?until=done", "until", nil},
		{"/orders/" + id + "?untill=settled", "untill", nil},
		{"/orders/" + id + "?until=settled&until=settled", "until", nil},
		{"/orders/" + id, "Prefer", []string{"Prefer", "wait=31"}},
		{"/orders/" + id, "Prefer", []string{"Prefer", "wait=-1"}},
		{"/orders/" + id, "Prefer", []string{"Prefer", "wait=soon"}},
		{"/orders/" + id, "Prefer", []string{"Prefer", "wait"}},
		{"/orders/" + id, "Consistency-Token", []string{"Consistency-Token", "a b"}},
		{"/orders/" + id, "Consistency-Token", []string{"Consistency-Token", "abc"}},
		{"/orders/" + id, "Consistency-Token", []string{"Consistency-Token", strings.Repeat("a", 600)}},
		{"/orders/" + id, "Consistency-Token", []string{"Consistency-Token", "abc", "Consistency-Token", "abd"}},
		{"/orders/" + id, "Prefer", []string{"Prefer", "respond-async", "Prefer", "wait=99"}},
		{"/orders/" + id + "/stream", "Last-Event-ID", []string{"Last-Event-ID", "x"}},
		{"/orders/" + id + "/stream", "Last-Event-ID", []string{"Last-Event-ID", "-1"}},
		{"/orders/x/stream", "id", nil},
		{"/orders/x/events", "id", nil},
		{"/orders?status=lost", "status", nil},
		{"/orders?page_size=many", "page_size", nil},
		{"/orders?page_size=-1", "page_size", nil},
		{"/orders?page_size=99999999999", "page_size", nil},
		{"/orders?page_token=abc", "page_token", nil},
		{"/orders?page_token=%2F", "page_token", nil},
		{"/orders?customer_id=%20", "customer_id", nil},
		{"/orders?customer_id=" + strings.Repeat("c", 65), "customer_id", nil},
		{"/orders?customer=c-1", "customer", nil},
		{"/stats?minutes=0", "minutes", nil},
		{"/stats?minutes=61", "minutes", nil},
		{"/stats?minutes=all", "minutes", nil},
		{"/stream?from=start", "from", nil},
	} {
		p := refused(d, c.path, c.headers...)
		if p.Status != 400 || p.Type != problem.TypePrefix+problem.SlugInvalid || len(p.Errors) != 1 || p.Errors[0].Field != c.field || p.Errors[0].Detail == "" {
			t.Errorf("GET %.60s %.60q: %+v", c.path, c.headers, p)
		}
	}
	if p := refused(d, "/orders?status=lost&page_size=x"); len(p.Errors) != 2 {
		t.Errorf("two faults: %+v", p)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	d := open(t, httpapi.Config{})
	d.Caught()
	id := viewtest.ID("nobody")
	for _, path := range []string{"/orders/" + id, "/orders/" + id + "/events", "/orders/" + id + "/stream", "/nowhere"} {
		if p := refused(d, path); p.Status != 404 || p.Type != problem.TypePrefix+problem.SlugNotFound {
			t.Errorf("GET %s: %+v", path, p)
		}
	}
	token := event.Token(broker.TopicPartition{Topic: readmodel.Topics[0]}, 1000)
	resp := d.get(t.Context(), "/orders/"+id, "Consistency-Token", token, "Prefer", "wait=0")
	defer func() { _ = resp.Body.Close() }()
	var p problem.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Type != problem.TypePrefix+view.SlugBehind || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%+v, %v, Retry-After %q", p, err, resp.Header.Get("Retry-After"))
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+"/orders", nil)
	posted, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = posted.Body.Close() }()
	if posted.StatusCode != http.StatusMethodNotAllowed || posted.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s, Allow %q", posted.Status, posted.Header.Get("Allow"))
	}
}

func TestListsStoriesAndNumbers(t *testing.T) {
	d := open(t, httpapi.Config{})
	d.Clock = time.Now().Truncate(time.Minute).UTC()
	for i := range 5 {
		d.Put(d.Confirmed(viewtest.ID(strconv.Itoa(i)), "c-1")...)
	}
	d.Put(d.Declined(viewtest.ID("other"), "c-2")...)
	d.Caught()
	page, _ := read[httpapi.OrderPage](d, "/orders?customer_id=c-1&page_size=3")
	rest, _ := read[httpapi.OrderPage](d, "/orders?customer_id=c-1&page_size=3&page_token="+page.NextPageToken)
	if len(page.Orders) != 3 || len(rest.Orders) != 2 || rest.NextPageToken != "" || page.Orders[0].ID != viewtest.ID("4") {
		t.Errorf("%d and %d orders", len(page.Orders), len(rest.Orders))
	}
	empty, _ := read[map[string]json.RawMessage](d, "/orders?status=placed")
	if string(empty["orders"]) != "[]" || string(empty["next_page_token"]) != `""` {
		t.Errorf("an empty page: %s", empty)
	}
	told, _ := read[httpapi.Story](d, "/orders/"+viewtest.ID("0")+"/events")
	if len(told.Events) != 4 || told.Events[0].GapMs != nil || told.Events[1].GapMs == nil || *told.Events[1].GapMs != 1 ||
		told.Events[1].CausationID != told.Events[0].ID || !strings.Contains(string(told.Events[0].Data), `"email":"***"`) {
		t.Errorf("%+v", told)
	}
	stats, _ := read[httpapi.Stats](d, "/stats?minutes=3")
	var orders, revenue int64
	for _, m := range stats.Minutes {
		orders += m.Orders
		for _, r := range m.Revenue {
			revenue += r.Amount
		}
	}
	if stats.Orders.Confirmed != 5 || stats.Orders.Cancelled != 1 || stats.Orders.Settled != 6 || stats.SettleTime.Count != 6 ||
		stats.SettleTime.P99Ms < 2 || len(stats.Minutes) != 3 || orders != 6 || revenue != 5*2500 {
		t.Errorf("%+v", stats)
	}
}

func TestOutagesAre503(t *testing.T) {
	d := open(t, httpapi.Config{})
	id := viewtest.ID("o")
	d.Put(d.Confirmed(id, "c-1")...)
	d.Caught()
	d.Log.Down(fault.New(fault.Unavailable, "the broker is away"))
	if _, h := read[httpapi.Order](d, "/orders/"+id); h == nil {
		t.Error("reads need no broker")
	}
	if p := refused(d, "/orders/"+id+"/events"); p.Status != 503 || p.Type != problem.TypePrefix+problem.SlugUnavailable {
		t.Errorf("%+v", p)
	}
	_ = d.Redis.Close()
	for _, path := range []string{"/orders/" + id, "/orders", "/stats", "/orders/" + id + "/stream"} {
		if p := refused(d, path); p.Status != 503 || p.Type != problem.TypePrefix+problem.SlugUnavailable || strings.Contains(fmt.Sprint(p), "redis") {
			t.Errorf("GET %s: %+v", path, p)
		}
	}
}
