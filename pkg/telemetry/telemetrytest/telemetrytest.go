// Package telemetrytest keeps the spans and metrics of a test in memory.
package telemetrytest

import (
	"sync"
	"testing"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

var (
	metrics = sdkmetric.NewManualReader()
	// Instruments in package variables follow only the first provider of a process, so all tests share one.
	meters = sync.OnceValue(func() *sdkmetric.MeterProvider { return sdkmetric.NewMeterProvider(sdkmetric.WithReader(metrics)) })
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

// Record makes the process keep its metrics for Metric. It must come before telemetry.Start, in TestMain or first in a test.
func Record() { otel.SetMeterProvider(meters()) }

// Metric returns what an instrument holds now, in all tests of the process so far, or false when it has recorded nothing.
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
