package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkCharge is a charge of two requests, many at once, each on disk before it is answered.
func BenchmarkCharge(b *testing.B) {
	s, err := New(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	h := s.Handler()
	post := func(path, key, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer sk_test_x")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Idempotency-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
		return w
	}
	var n atomic.Int64
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			order := fmt.Sprintf("o-%d", n.Add(1))
			var made struct{ ID string }
			w := post("/v1/payment_intents", order+":create", "amount=2500&currency=eur&payment_method=pm_card_visa&metadata[order_id]="+order)
			if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil {
				b.Error(err)
			}
			post("/v1/payment_intents/"+made.ID+"/confirm", order+":confirm", "")
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "charges/s")
}
