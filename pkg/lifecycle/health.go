package lifecycle

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
)

// Health answers whether the program lives and whether it is ready. Its zero value has no checks and is ready.
type Health struct {
	stopping atomic.Bool
	serving  atomic.Bool // was ready once
	mu       sync.Mutex
	checks   []check
}

// check is one condition of readiness.
type check struct {
	name string
	f    func() error
}

// NewHealth returns a Health without checks.
func NewHealth() *Health { return &Health{} }

// Check adds a condition of readiness: f returns nil, or why not. f must not block; it is called for each GET /readyz,
// concurrently.
func (h *Health) Check(name string, f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, f})
}

// Stopping makes the program not ready for good.
func (h *Health) Stopping() { h.stopping.Store(true) }

// LastAnswers ends the connection behind each answer of next once the program stops. A client that kept it would send
// its next request into a server that closes, and would not know whether it was read.
func (h *Health) LastAnswers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Part turns readiness off when it is stopped, and then waits for drain so that those who balance load see it before
// the servers close. Give it to Run as the last part: then it stops first.
func (h *Health) Part(drain time.Duration) Part {
	return Part{Name: "readiness", StopWithin: drain + time.Second, Run: func(ctx context.Context) error {
		<-ctx.Done()
		h.Stopping()
		<-time.After(drain)
		return nil
	}}
}

// Unready is one reason not to be ready.
type Unready struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Unready returns every reason not to be ready now; none means ready.
func (h *Health) Unready() []Unready {
	var why []Unready
	if h.stopping.Load() {
		why = append(why, Unready{"lifecycle", "stopping"})
	}
	h.mu.Lock()
	checks := h.checks
	h.mu.Unlock()
	for _, c := range checks {
		if err := c.f(); err != nil {
			why = append(why, Unready{c.name, err.Error()})
		}
	}
	return why
}

// Serves says whether requests should be sent here: from when the program was ready for the first time until it stops.
// In between it does not ask what it stands on: that is away for every replica at once, and taking all of them out of
// the balancer would make an outage of Kafka one of the API, whose own answer (503 with Retry-After, or a read that
// needs no Kafka) is the better one.
func (h *Health) Serves() bool {
	if h.stopping.Load() {
		return false
	}
	if !h.serving.Load() && len(h.Unready()) == 0 {
		h.serving.Store(true)
	}
	return h.serving.Load()
}

// Routes adds GET /livez (200 while the program can answer at all), GET /readyz (200, or 503 with a JSON list of what
// is not ready and why) and GET /servez (200, or 503, as Serves says; for load balancers).
func (h *Health) Routes(r chi.Router) {
	r.Get("/livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, status{Status: "live"})
	})
	r.Get("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := h.Unready(); len(why) > 0 {
			answer(w, http.StatusServiceUnavailable, status{Status: "not ready", Unready: why})
			return
		}
		answer(w, http.StatusOK, status{Status: "ready"})
	})
	r.Get("/servez", func(w http.ResponseWriter, _ *http.Request) {
		if !h.Serves() {
			answer(w, http.StatusServiceUnavailable, status{Status: "not serving", Unready: h.Unready()})
			return
		}
		answer(w, http.StatusOK, status{Status: "serving"})
	})
}

// status is the body of every answer.
type status struct {
	Status  string    `json:"status"`
	Unready []Unready `json:"unready,omitempty"`
}

// answer is never to be cached: what it says holds for a moment.
func answer(w http.ResponseWriter, code int, s status) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s) // the caller is gone; nobody to tell
}
