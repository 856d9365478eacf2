package readmodel_test

import (
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
)

// An order is open until it is settled, and again when it is cancelled afterwards until the money is back.
func TestOpenOrders(t *testing.T) {
	s := querytest.New(t)
	s.Play()
	first := s.Refunded(viewtest.ID("first"), "c-1")
	open := func(want int64, after string) {
		t.Helper()
		s.Caught()
		got, err := s.Model.Open(t.Context())
		if err != nil || got.Orders != want || got.Oldest.IsZero() != (want == 0) {
			t.Errorf("after %s: %+v, %v; want %d open", after, got, err, want)
		}
	}
	open(0, "nothing")
	waits := map[string]int64{"OrderPlaced": 1, "PaymentSucceeded": 1, "OrderConfirmed": 0, "OrderCancelled": 1, "PaymentRefunded": 0}
	told := 0
	for _, r := range first {
		s.Put(r)
		e, err := event.FromRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		name := e.Type[strings.LastIndexByte(e.Type, '.')+1:]
		if want, ok := waits[name]; ok {
			open(want, name)
			told++
		}
	}
	if told != len(waits) {
		t.Errorf("the story told %d of %v", told, waits)
	}
	s.Put(s.Confirmed(viewtest.ID("second"), "c-1")[0])
	open(1, "an order placed")
}
