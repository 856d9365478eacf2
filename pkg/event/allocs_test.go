package event_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// stages are what every event goes through, with the allocations that each may take.
func stages() map[string]struct {
	most float64
	run  func()
} {
	id := event.MakeID("order")
	e := event.Event{
		ID: event.MakeID(id, "2"), Type: "google.protobuf.StringValue", Source: "order", Subject: id, Time: time.Unix(1e9, 0).UTC(), Sequence: 2,
		PreviousID: event.MakeID(id, "1"), CausationID: event.MakeID(id, "0"), TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
	}
	body := wrapperspb.String("a body")
	e.Data, _ = event.Encode(body)
	hop := broker.HeadersOf("traceparent", e.TraceParent)
	r := event.ToRecord(e, "order.events.v1", 3, hop)
	return map[string]struct {
		most float64
		run  func()
	}{
		"FromRecord": {0, func() { _, _ = event.FromRecord(r) }},
		"ToRecord":   {1, func() { event.ToRecord(e, "order.events.v1", 3, hop) }},
		"Encode":     {1, func() { _, _ = event.Encode(body) }},
		"Decode":     {2, func() { _, _ = event.Decode(e) }},
		"FactID":     {1, func() { event.FactID(id, "payment", "troupe.payment.v1.PaymentSucceeded") }},
	}
}

func TestMakeIDIsUUIDv5(t *testing.T) {
	want := uuid.NewSHA1(uuid.MustParse("5f1c2b1e-6b0f-5a86-9d0c-0e5a4a1c7d11"), []byte("5:order7:payment")).String()
	if got := event.MakeID("order", "payment"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAllocations(t *testing.T) {
	for name, s := range stages() {
		if got := testing.AllocsPerRun(100, s.run); got > s.most {
			t.Errorf("%s allocates %v times, at most %v were wanted", name, got, s.most)
		}
	}
}

func BenchmarkStages(b *testing.B) {
	for name, s := range stages() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.run()
			}
		})
	}
}
