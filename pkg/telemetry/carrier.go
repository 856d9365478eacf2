package telemetry

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/broker"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// w3c is used as it is, not the global propagator: headers in the log must read the same whatever a process has set.
var w3c = propagation.TraceContext{}

// TraceParent is the W3C trace context of ctx, for the ce_traceparent of an event that begins a transmission. Empty
// when ctx has no span.
func TraceParent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	w3c.Inject(ctx, c)
	return c[traceparent]
}

// Inject sets the per-hop trace context (headers traceparent and tracestate) to that of ctx, in place of what headers
// may hold of it already. Without a span in ctx it returns headers as they are.
func Inject(ctx context.Context, headers broker.Headers) broker.Headers {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return headers
	}
	c := carrier{headers.Without(func(key string) bool { return key == traceparent || key == tracestate })}
	w3c.Inject(ctx, &c)
	return c.headers
}

// Extract returns ctx with the remote span of the hop (traceparent) or, where a record has none, of the transmission's
// start (ce_traceparent).
func Extract(ctx context.Context, headers broker.Headers) context.Context {
	if hop, _ := headers.Last(traceparent); len(hop) == 0 {
		return w3c.Extract(ctx, propagation.MapCarrier{traceparent: header(headers, startparent)})
	}
	return w3c.Extract(ctx, &carrier{headers})
}

// carrier is the headers of one record.
type carrier struct{ headers broker.Headers }

func (c *carrier) Get(key string) string { return header(c.headers, key) }

func (c *carrier) Set(key, value string) {
	c.headers = c.headers.Append(key, []byte(value))
}

func (c *carrier) Keys() []string {
	var keys []string
	for key := range c.headers.All() {
		keys = append(keys, key)
	}
	return keys
}

// Rejoin returns ctx in the trace of a transmission that began earlier, as its ce_traceparent says: a later request
// about an order goes on where the order began. The span of ctx gets a link to it. Without a valid traceParent it
// returns ctx as it is.
func Rejoin(ctx context.Context, traceParent string) context.Context {
	begun := trace.SpanContextFromContext(
		w3c.Extract(context.Background(), propagation.MapCarrier{traceparent: traceParent}))
	if !begun.IsValid() {
		return ctx
	}
	trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: begun})
	return trace.ContextWithRemoteSpanContext(ctx, begun)
}

const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
	startparent = "ce_traceparent" // of the transmission's start
)

// header is the last value of a key, or empty.
func header(headers broker.Headers, key string) string {
	value, _ := headers.Last(key)
	return string(value)
}
