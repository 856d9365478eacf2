package telemetry_test

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/telemetry/telemetrytest"
	"go.opentelemetry.io/otel"
)

func TestGaugesForgetWhatIsNotReported(t *testing.T) {
	now := map[string]float64{"a": 1, "b": 2}
	stop := telemetry.Gauges(func(_ context.Context, observe telemetry.Observe) {
		for topic, v := range now {
			observe(telemetry.LagRecords, v, telemetry.Topic.String(topic))
		}
		observe(telemetry.LagTime, 1) // not among the registered: passed over
	}, telemetry.LagRecords)
	want := func(when string, values map[string]float64) {
		t.Helper()
		for _, topic := range []string{"a", "b"} {
			v, there := values[topic]
			if got, ok := telemetrytest.Gauge(t, telemetry.LagRecords, topic); ok != there || got != v {
				t.Errorf("%s: topic %s is %v, %t; want %v", when, topic, got, ok, values)
			}
		}
	}
	want("both", map[string]float64{"a": 1, "b": 2})
	delete(now, "a")
	want("one", map[string]float64{"b": 2})
	stop()
	want("after stop", nil)
}

func TestRejoin(t *testing.T) {
	spans := telemetrytest.Spans(t)
	ctx, order := otel.Tracer("test").Start(t.Context(), "POST /orders")
	begun := telemetry.TraceParent(ctx)
	order.End()
	ctx, request := otel.Tracer("test").Start(t.Context(), "POST /orders/{id}/cancel")
	_, sent := telemetry.Send(telemetry.Rejoin(ctx, begun), broker.TopicPartition{Topic: topic}, "e-1", "o-1")
	sent(nil)
	request.End()
	send, cancel := named(t, spans.Ended(), "send "+topic), named(t, spans.Ended(), "POST /orders/{id}/cancel")
	if send.Parent().SpanID() != order.SpanContext().SpanID() || send.SpanContext().TraceID() != order.SpanContext().TraceID() {
		t.Errorf("the send span's parent is %v, want the span that began the order, %v", send.Parent(), order.SpanContext())
	}
	if len(cancel.Links()) != 1 || cancel.Links()[0].SpanContext.SpanID() != order.SpanContext().SpanID() {
		t.Errorf("the request links to %v", cancel.Links())
	}
	if got := telemetry.Rejoin(t.Context(), "nonsense"); got != t.Context() {
		t.Error("rejoined nonsense")
	}
}
