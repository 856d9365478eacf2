package consoletest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
)

// Query plays the query service: it answers what the test says of orders.
type Query struct {
	URL string

	mu      sync.Mutex
	orders  []queryapi.Order
	stories map[string]queryapi.Story
	down    bool
	lines   map[string][]string // of each order's stream
	more    chan struct{}       // closed when there are more
}

// NewQuery starts one that knows no order.
func NewQuery(t testing.TB) *Query {
	q := &Query{stories: map[string]queryapi.Story{}, lines: map[string][]string{}, more: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", q.list)
	mux.HandleFunc("GET /orders/{id}", q.order)
	mux.HandleFunc("GET /orders/{id}/events", q.story)
	mux.HandleFunc("GET /orders/{id}/stream", q.stream)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	q.URL = srv.URL
	return q
}

// Knows adds an order, or replaces it, with the story that its records tell: facts, dead letters and exceptions.
func (q *Query) Knows(o queryapi.Order, records ...broker.Record) {
	s := queryapi.Story{OrderID: o.ID, Version: int64(len(records))}
	for _, r := range records {
		s.Events = append(s.Events, shown(r))
	}
	slices.SortStableFunc(s.Events, func(a, b queryapi.Event) int { return a.Time.Compare(b.Time) })
	q.mu.Lock()
	defer q.mu.Unlock()
	q.orders = append(slices.DeleteFunc(q.orders, func(other queryapi.Order) bool { return other.ID == o.ID }), o)
	q.stories[o.ID] = s
}

// Down makes it answer that it cannot say now, until it is up again.
func (q *Query) Down(down bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.down = down
}

// Tell sends an event to all who follow an order, and to those who will.
func (q *Query) Tell(id, name, data string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines[id] = append(q.lines[id], fmt.Sprintf("event: %s\ndata: %s\n\n", name, data))
	close(q.more)
	q.more = make(chan struct{})
}

func shown(r broker.Record) queryapi.Event {
	s := queryapi.Event{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Kind: "event"}
	if a, err := activity.Parse(r); err == nil {
		s.Kind, s.Class, s.Type, s.CausationID, s.Time = string(a.Kind), a.Reason, a.EventType, a.EventID, a.At
		s.Participant = strings.TrimSuffix(r.Topic, activity.Topic(""))
		s.ID, s.OrderID, s.Source = fmt.Sprint(r.Topic, r.Offset), a.Order, s.Participant
		return s
	}
	if rec, err := deadletter.Parse(r); err == nil {
		came, _ := event.FromRecord(deadletter.Original(r))
		s.Kind, s.Class, s.Message, s.Type, s.CausationID = "dead_letter", rec.Class, rec.Message, came.Type, came.ID
		s.Participant = strings.TrimSuffix(r.Topic, deadletter.Topic(""))
		s.ID, s.OrderID, s.Source, s.Time = fmt.Sprint(r.Topic, r.Offset), rec.Order, s.Participant, rec.LastFailure
		return s
	}
	e, err := event.FromRecord(r)
	if err != nil {
		panic(err)
	}
	s.ID, s.OrderID, s.Type, s.Source, s.Time, s.CausationID = e.ID, e.Subject, e.Type, e.Source, e.Time, e.CausationID
	s.Data = json.RawMessage(`{"email":"***"}`)
	return s
}

func (q *Query) list(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := r.URL.Query()
	page := queryapi.OrderPage{Orders: []queryapi.Order{}}
	for _, o := range q.orders {
		if (p.Get("status") == "" || p.Get("status") == string(o.Status)) && (p.Get("open") != "true" || !o.Settled) {
			page.Orders = append(page.Orders, o)
		}
	}
	if p.Get("page_token") != "" {
		q.refuse(w, http.StatusBadRequest, "invalid-request", "page_token: must be the next_page_token of a page")
		return
	}
	q.answer(w, page)
}

func (q *Query) order(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.orders, func(o queryapi.Order) bool { return o.ID == r.PathValue("id") })
	if i < 0 {
		q.refuse(w, http.StatusNotFound, "not-found", "there is no such order")
		return
	}
	q.answer(w, q.orders[i])
}

func (q *Query) story(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s, ok := q.stories[r.PathValue("id")]
	if !ok {
		q.refuse(w, http.StatusNotFound, "not-found", "there is no such order")
		return
	}
	q.answer(w, s)
}

func (q *Query) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n := 0; ; {
		q.mu.Lock()
		lines, more := q.lines[r.PathValue("id")], q.more
		q.mu.Unlock()
		for ; n < len(lines); n++ {
			_, _ = fmt.Fprint(w, lines[n])
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

func (q *Query) answer(w http.ResponseWriter, v any) {
	if q.down {
		q.refuse(w, http.StatusServiceUnavailable, "read-model-behind", "not yet")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (q *Query) refuse(w http.ResponseWriter, status int, slug, detail string) {
	if q.down {
		status, slug = http.StatusServiceUnavailable, "read-model-behind"
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"urn:troupe:problem:%s","title":"No","status":%d,"detail":%q}`, slug, status, detail)
}
