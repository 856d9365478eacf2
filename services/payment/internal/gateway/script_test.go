package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/config"
)

// step is one request that must come, and its answer. drop ends the connection instead.
type step struct {
	want     string // method, path and, for a POST, the idempotency key
	status   int
	body     string
	replayed bool
	drop     bool
}

// script is a gateway that answers a fixed sequence of requests, and nothing else.
type script struct {
	t     *testing.T
	mu    sync.Mutex
	steps []step
	forms []map[string][]string
	ahead time.Duration // this machine's clock of the gateway's
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := r.Method + " " + r.URL.Path
	if r.Method == http.MethodPost {
		got += " " + r.Header.Get("Idempotency-Key")
	}
	if err := r.ParseForm(); err != nil {
		s.t.Errorf("%s: %v", got, err)
	}
	s.forms = append(s.forms, r.Form)
	if len(s.steps) == 0 {
		s.t.Errorf("unexpected request %s", got)
		w.WriteHeader(http.StatusTeapot)
		return
	}
	next := s.steps[0]
	s.steps = s.steps[1:]
	if got != next.want {
		s.t.Errorf("request %s, want %s", got, next.want)
	}
	if next.drop {
		panic(http.ErrAbortHandler)
	}
	if next.replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.Header().Set("Date", time.Now().Add(-s.ahead).UTC().Format(http.TimeFormat))
	w.WriteHeader(next.status)
	_, _ = w.Write([]byte(next.body))
}

// play opens a gateway whose other end follows the script; the test fails when not all of it is used.
func play(t *testing.T, steps ...step) (*Stripe, *script) {
	t.Helper()
	s := &script{t: t, steps: steps}
	srv := httptest.NewServer(s)
	// Over a connection used before, Go's transport itself would ask once more when the answer is lost.
	srv.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(srv.Close)
	now, forget := clock.New(clock.Config{MaxSkew: 30 * time.Second})
	g := Open(Config{URL: srv.URL, Key: config.NewSecret("sk_test_x"), Timeout: 10 * time.Second}, 4, now)
	t.Cleanup(func() {
		forget()
		g.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.steps) > 0 {
			t.Errorf("%d requests did not come, the next: %s", len(s.steps), s.steps[0].want)
		}
	})
	return g, s
}

const (
	create  = "POST /v1/payment_intents e-1:create"
	confirm = "POST /v1/payment_intents/pi_1/confirm e-1:confirm"
	// confirmBy is what confirms an intent that was looked up.
	confirmBy = confirm + ":pm_card_visa"
	cancel    = "POST /v1/payment_intents/pi_1/cancel e-1:cancel"
	read      = "GET /v1/payment_intents/pi_1"
	search    = "GET /v1/payment_intents/search"
	give      = "POST /v1/refunds e-2:refund"
	list      = "GET /v1/refunds"
)

// pi answers with the intent in a status; lastError is JSON or empty.
func pi(want, status, lastError string) step {
	received := 0
	if status == "succeeded" {
		received = 2500
	}
	if lastError == "" {
		lastError = "null"
	}
	return step{want: want, status: http.StatusOK, body: fmt.Sprintf(
		`{"id":"pi_1","object":"payment_intent","amount":2500,"amount_received":%d,"currency":"eur","status":%q,"last_payment_error":%s}`,
		received, status, lastError)}
}

func failing(want string, status int, typ, code, param string) step {
	return step{want: want, status: status, body: fmt.Sprintf(
		`{"error":{"type":%q,"code":%q,"param":%q,"message":"no"}}`, typ, code, param)}
}

func again(s step) step {
	s.replayed = true
	return s
}

// found answers a search with so many intents.
func found(n int) step {
	data := ""
	for i := range n {
		if i > 0 {
			data += ","
		}
		data += fmt.Sprintf(`{"id":"pi_%d","object":"payment_intent","status":"requires_confirmation"}`, i+1)
	}
	return step{want: search, status: http.StatusOK, body: `{"object":"search_result","has_more":false,"data":[` + data + `]}`}
}

func refunds(data string) step {
	return step{want: list, status: http.StatusOK, body: `{"object":"list","has_more":false,"data":[` + data + `]}`}
}

func re(id, status string, amount int) string {
	return fmt.Sprintf(`{"id":%q,"object":"refund","status":%q,"amount":%d,"failure_reason":"expired_or_canceled_card"}`, id, status, amount)
}

func made(status string, amount int) step {
	return step{want: give, status: http.StatusOK, body: re("re_1", status, amount)}
}
