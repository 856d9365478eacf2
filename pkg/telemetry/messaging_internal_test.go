package telemetry

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Where nothing is exported, an event is still part of the trace that its record names, down to whoever hears its answer.
func TestATraceGoesOnWhereNothingIsExported(t *testing.T) {
	before := otel.GetTracerProvider()
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	tracers, err := newTracers(t.Context(), resource.Empty())
	if err != nil {
		t.Fatal(err)
	}
	otel.SetTracerProvider(tracers)
	const topic = "order.events.v1"
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for name, headers := range map[string][]broker.Header{
		"of the hop":   {{Key: "ce_traceparent", Value: []byte("00-ffffffffffffffffffffffffffffffff-b7ad6b7169203331-01")}, {Key: "traceparent", Value: []byte(parent)}},
		"of the start": {{Key: "ce_traceparent", Value: []byte(parent)}},
	} {
		ctx, ended := Process(t.Context(), broker.Record{Topic: topic, Headers: headers}, "payment")
		out, sent := Send(ctx, broker.TopicPartition{Topic: topic}, "e-2", "o-1")
		ended(nil)
		sent(nil)
		if got := Inject(out, nil); len(got) != 1 || got[0].Key != "traceparent" || string(got[0].Value[:36]) != parent[:36] {
			t.Errorf("%s: %s goes on as %v", name, parent, got)
		}
	}
	ctx, ended := Process(t.Context(), broker.Record{Topic: topic}, "payment")
	ended(nil)
	if TraceParent(ctx) == "" {
		t.Error("a record without a trace begins none")
	}
}
