package telemetry_test

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

func TestByIsThatSet(t *testing.T) {
	a, b := attribute.String("a", "1"), attribute.String("b", "2")
	for _, attrs := range [][]attribute.KeyValue{{}, {a}, {a, b}, {b, a}, {b}, {a, b, a, b, a, b}} {
		want := attribute.NewSet(attrs...)
		for range 2 {
			got := metric.NewAddConfig([]metric.AddOption{telemetry.By(attrs...)}).Attributes()
			if !got.Equals(&want) {
				t.Errorf("by %v: got %v", attrs, got.ToSlice())
			}
		}
	}
}
