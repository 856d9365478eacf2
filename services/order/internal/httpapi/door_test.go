package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
)

var morning = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// fakeDoor answers as told and keeps what was published.
type fakeDoor struct {
	mu        sync.Mutex
	admission admission.Decision[domain.Order]
	admitErr  error
	found     admission.Order[domain.Order]
	ok        bool
	findErr   error
	pubErr    error
	markErr   error
	published []event.Event
	asked     []string // "id hash" of each Admit
	marked    []string // of each Admitted
}

func (d *fakeDoor) Admit(_ context.Context, id, hash string, _ time.Duration) (admission.Decision[domain.Order], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, id+" "+hash)
	return d.admission, d.admitErr
}

func (d *fakeDoor) Publish(_ context.Context, e event.Event) (int, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pubErr != nil {
		return 0, 0, d.pubErr
	}
	d.published = append(d.published, e)
	return 7, 42, nil
}

func (d *fakeDoor) Admitted(_ context.Context, id, hash string, _ int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.marked = append(d.marked, id+" "+hash)
	return d.markErr
}

func (d *fakeDoor) Find(context.Context, string, time.Duration) (admission.Order[domain.Order], bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.found, d.ok, d.findErr
}

// serve returns a handler in front of a door, on the morning of the tests.
func serve(t testing.TB, d Door) http.Handler { return serveBy(t, d, nil) }

func serveBy(t testing.TB, d Door, c *clock.Clock) http.Handler {
	t.Helper()
	return server(t, d, auth.New(auth.Config{Mode: "off"}), c).Handler(func(r chi.Router) {
		r.Get("/panics", func(http.ResponseWriter, *http.Request) { panic("for the test") })
	})
}

// server stands in front of a door, on the morning of the tests.
func server(t testing.TB, d Door, guard *auth.Guard, c *clock.Clock) *Server {
	t.Helper()
	s, err := New("order", d, guard, c, Config{
		QueryURL: "http://query.test/", PaymentDeadline: 15 * time.Minute, CancelWindow: 336 * time.Hour, Currencies: []string{"EUR"},
		FindWithin: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return morning }
	return s
}

const tea = `{"customer_id":"c-1001","email":"ada@example.com","currency":"EUR","payment_method":"pm_card_visa",` +
	`"lines":[{"sku":"TEA-250","name":"Green tea","quantity":2,"unit_price":1250}]}`

const key = "7f3c9a52-4b1e"

// do sends a request with JSON and a key unless headers ("Name: value"; an empty value removes) say otherwise.
func do(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if value == "" {
			r.Header.Del(name)
		} else {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// read decodes a problem document and checks what holds for every one.
func read(t testing.TB, w *httptest.ResponseRecorder) problem.Problem {
	t.Helper()
	var p problem.Problem
	body, _ := io.ReadAll(w.Body)
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("status %d, no problem document: %v in %q", w.Code, err, body)
	}
	if ct := w.Header().Get("Content-Type"); ct != problem.ContentType || p.Status != w.Code || p.Type == "" || p.Title == "" {
		t.Errorf("status %d, %s: %+v", w.Code, ct, p)
	}
	return p
}

// doTwice sends a request with two keys.
func doTwice(h http.Handler) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(tea))
	r.Header.Set("Content-Type", "application/json")
	r.Header["Idempotency-Key"] = []string{key, key + "-2"}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
