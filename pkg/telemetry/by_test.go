package telemetry_test

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// heard is what an instrument was last told.
type heard struct {
	noop.Int64Counter
	n   int64
	set attribute.Set
}

func (h *heard) Add(_ context.Context, n int64, opts ...metric.AddOption) {
	h.n, h.set = n, metric.NewAddConfig(opts).Attributes()
}

type heardValue struct {
	noop.Float64Histogram
	value float64
	set   attribute.Set
}

func (h *heardValue) Record(_ context.Context, v float64, opts ...metric.RecordOption) {
	h.value, h.set = v, metric.NewRecordConfig(opts).Attributes()
}

func TestByIsThatSet(t *testing.T) {
	a, b := attribute.String("a", "1"), attribute.String("b", "2")
	for _, attrs := range [][]attribute.KeyValue{{}, {a}, {a, b}, {b, a}, {b}, {a, b, a, b, a, b}, {a, attribute.Int("n", 1)}} {
		want := attribute.NewSet(attrs...)
		for range 2 {
			var count heard
			telemetry.By(attrs...).Add(t.Context(), &count, 3)
			if !count.set.Equals(&want) || count.n != 3 {
				t.Errorf("by %v: %d more by %v", attrs, count.n, count.set.ToSlice())
			}
			var spread heardValue
			telemetry.By(attrs...).Record(t.Context(), &spread, 0.5)
			if !spread.set.Equals(&want) || spread.value != 0.5 {
				t.Errorf("by %v: %g by %v", attrs, spread.value, spread.set.ToSlice())
			}
		}
	}
}

func TestByAllocatesNothing(t *testing.T) {
	a, b := attribute.String("a", "1"), attribute.String("b", "2")
	var count heard
	if n := testing.AllocsPerRun(100, func() { telemetry.By(a, b).Add(t.Context(), &count, 1) }); n > 0 {
		t.Errorf("%g allocations", n)
	}
}
