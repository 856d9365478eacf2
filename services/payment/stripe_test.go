package payment

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// stripeServer is a gateway that remembers idempotency keys, declines pm_card_chargeDeclined, and counts the money it moves.
type stripeServer struct {
	url string

	mu      sync.Mutex
	down    bool
	ahead   time.Duration     // this machine's clock of the gateway's
	refused bool              // a request came while it was down
	answers map[string]string // by idempotency key
	method  map[string]string // by intent
	order   map[string]string // by intent
	charges map[string]int    // by order
	refunds map[string]int    // by order
}

func serveStripe(t *testing.T) *stripeServer {
	s := &stripeServer{answers: map[string]string{}, method: map[string]string{}, order: map[string]string{},
		charges: map[string]int{}, refunds: map[string]int{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *stripeServer) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// asked reports whether a request came while it was down.
func (s *stripeServer) asked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

func (s *stripeServer) money(order string) (charges, refunds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.charges[order], s.refunds[order]
}

func (s *stripeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		s.refused = true
		http.Error(w, `{"error":{"type":"api_error","message":"down"}}`, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Date", time.Now().Add(-s.ahead).UTC().Format(http.TimeFormat))
	key := r.Header.Get("Idempotency-Key")
	if _, known := s.answers[key]; !known {
		s.answers[key] = s.execute(r)
	}
	answer := s.answers[key]
	if strings.Contains(answer, `"card_error"`) {
		w.WriteHeader(http.StatusPaymentRequired)
	}
	_, _ = w.Write([]byte(answer))
}

func (s *stripeServer) execute(r *http.Request) string {
	id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/payment_intents/"), "/confirm")
	switch {
	case r.URL.Path == "/v1/payment_intents":
		id = fmt.Sprintf("pi_%d", len(s.order)+1)
		s.order[id], s.method[id] = r.FormValue("metadata[order_id]"), r.FormValue("payment_method")
		return fmt.Sprintf(`{"id":%q,"status":"requires_confirmation"}`, id)
	case r.URL.Path == "/v1/refunds":
		s.refunds[s.order[r.FormValue("payment_intent")]]++
		return `{"id":"re_1","status":"succeeded","amount":2500}`
	case s.method[id] == "pm_card_chargeDeclined":
		return `{"error":{"type":"card_error","code":"card_declined","decline_code":"generic_decline","message":"no"}}`
	default:
		s.charges[s.order[id]]++
		return fmt.Sprintf(`{"id":%q,"status":"succeeded","amount":2500,"amount_received":2500,"currency":"eur"}`, id)
	}
}
