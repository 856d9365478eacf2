package telemetry

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
)

// Where nothing is exported, an event is still part of the trace that its record names, down to whoever hears its
// answer.
func TestATraceGoesOnWhereNothingIsExported(t *testing.T) {
	quiet(t)
	const topic = "order.events.v1"
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for name, headers := range map[string]broker.Headers{
		"of the hop":   broker.HeadersOf("ce_traceparent", "00-ffffffffffffffffffffffffffffffff-b7ad6b7169203331-01", "traceparent", parent),
		"of the start": broker.HeadersOf("ce_traceparent", parent),
	} {
		ctx, ended := Process(t.Context(), broker.Record{Topic: topic, Headers: headers}, "payment")
		out, sent := Send(ctx, broker.TopicPartition{Topic: topic}, "e-2", "o-1")
		ended(nil)
		sent(nil)
		if got := trace.SpanContextFromContext(ctx); got.TraceID().String() != parent[3:35] || !got.IsRemote() {
			t.Errorf("%s: processed in the trace %v", name, got)
		}
		answer, sent := Answer(Begun(ctx), headers, broker.TopicPartition{Topic: topic}, "e-2", "o-1")
		if sent != nil {
			t.Errorf("%s: a span is to be ended that nobody sees", name)
		}
		if !slices.Equal(answer, broker.HeadersOf("traceparent", parent)) {
			t.Errorf("%s: answered with %q", name, answer)
		}
		if got := Inject(out, nil); len(keys(got)) != 1 || !strings.HasPrefix(header(got, "traceparent"), parent[:36]) {
			t.Errorf("%s: %s goes on as %q", name, parent, got)
		}
	}
	ctx, ended := Process(t.Context(), broker.Record{Topic: topic}, "payment")
	ended(nil)
	if TraceParent(ctx) == "" {
		t.Error("a record without a trace begins none")
	}
	answer, _ := Answer(Begun(ctx), nil, broker.TopicPartition{Topic: topic}, "e-2", "o-1")
	if !slices.Equal(answer, broker.HeadersOf("traceparent", TraceParent(ctx))) {
		t.Errorf("in the trace %s the answer goes on as %q", TraceParent(ctx), answer)
	}
}

func keys(h broker.Headers) []string { return (&carrier{h}).Keys() }

// quiet exports no spans, as nobody does by default.
func quiet(t testing.TB) {
	t.Helper()
	before := otel.GetTracerProvider()
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	tracers, err := newTracers(t.Context(), resource.Empty())
	if err != nil {
		t.Fatal(err)
	}
	otel.SetTracerProvider(tracers)
}

// What is forwarded without a look into it is what the propagator would make of it, byte for byte.
func TestWhatIsForwardedIsWhatWouldBeInjected(t *testing.T) {
	quiet(t)
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	tried := []string{"", good, good[:54], good + "0", good + "-more", "01" + good[2:] + "-more", "ff" + good[2:],
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"}
	for i := range good {
		for _, c := range "-0123489afgAF\x00\xff" {
			tried = append(tried, good[:i]+string(c)+good[i+1:])
		}
	}
	forwardable := 0
	for _, parent := range tried {
		headers := broker.HeadersOf(traceparent, parent)
		got := forwarded(headers)
		if got == nil {
			continue
		}
		forwardable++
		if want := Inject(Extract(t.Context(), headers), nil); !slices.Equal(want, broker.HeadersOf(traceparent, string(got))) {
			t.Errorf("%q is forwarded, and injected as %q", parent, want)
		}
	}
	if forwardable < 48 {
		t.Errorf("only %d of %d are forwarded", forwardable, len(tried))
	}
	state := broker.HeadersOf(traceparent, good, tracestate, "a=b")
	if got := forwarded(state); got != nil {
		t.Errorf("%s is forwarded without its state", got)
	}
	if answer, _ := Answer(trace.SpanContext{}, state, broker.TopicPartition{}, "e", "o"); len(keys(answer)) != 2 {
		t.Errorf("the answer goes on as %q", answer)
	}
}

// messages are what one event costs telemetry.
func messages(t testing.TB) (processed, answered func()) {
	quiet(t)
	r := broker.Record{Topic: "order.events.v1"}
	for i := range 11 {
		r.Headers = r.Headers.Append("ce_attribute"+strconv.Itoa(i), []byte("some value"))
	}
	r.Headers = r.Headers.Append(traceparent, []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"))
	processed = func() {
		ctx, ended := Process(t.Context(), r, "payment")
		Begun(ctx)
		ended(nil)
	}
	answered = func() {
		Answer(trace.SpanContext{}, r.Headers, broker.TopicPartition{Topic: "payment.events.v1"}, "e-2", "o-1")
	}
	return processed, answered
}

func TestMessagesAllocateLittle(t *testing.T) {
	processed, answered := messages(t)
	for name, run := range map[string]func(){"processed": processed, "answered": answered} {
		if n := testing.AllocsPerRun(100, run); n > 1 {
			t.Errorf("one %s: %g allocations", name, n)
		}
	}
}

func BenchmarkMessages(b *testing.B) {
	processed, answered := messages(b)
	for name, run := range map[string]func(){"processed": processed, "answered": answered} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
