// Package telemetrytest keeps the spans and metrics of a test in memory.
package telemetrytest

import (
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

var (
	metrics = sdkmetric.NewManualReader()
	// Instruments in package variables follow only the first provider of a process, so all tests share one.
	meters = sync.OnceValue(func() *sdkmetric.MeterProvider {
		return sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics))
	})
)

// Spans records every span that ends from now on until the test ends. Tests that use it cannot run in parallel.
func Spans(t testing.TB) *tracetest.SpanRecorder {
	t.Helper()
	r := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	return r
}

// Record makes the process keep its metrics for Metric. It must come before telemetry.Start, in TestMain or first in a
// test.
func Record() { otel.SetMeterProvider(meters()) }

// Metric returns what an instrument holds now, in all tests of the process so far, or false when it has recorded
// nothing.
func Metric(t testing.TB, name string) (metricdata.Metrics, bool) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := metrics.Collect(t.Context(), &all); err != nil {
		t.Fatalf("collect metrics: %v", err)
	}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			if m.Name == name {
				return m, true
			}
		}
	}
	return metricdata.Metrics{}, false
}

// Gauge returns the sum of a gauge's values for a topic ("" for those without one), or false when nobody reports any.
func Gauge(t testing.TB, m telemetry.Metric, topic string) (sum float64, ok bool) {
	t.Helper()
	got, _ := Metric(t, m.Name)
	values, _ := got.Data.(metricdata.Gauge[float64])
	for _, p := range values.DataPoints {
		if v, _ := p.Attributes.Value(telemetry.Topic); v.AsString() == topic {
			sum, ok = sum+p.Value, true
		}
	}
	return sum, ok
}
