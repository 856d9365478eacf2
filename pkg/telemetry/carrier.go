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
	c := propagation.MapCarrier{}
	w3c.Inject(ctx, c)
	headers = headers.Without(func(key string) bool { return key == traceparent || key == tracestate })
	headers = headers.Append(traceparent, []byte(c[traceparent]))
	if state, ok := c[tracestate]; ok {
		headers = headers.Append(tracestate, []byte(state))
	}
	return headers
}

// Extract returns ctx with the remote span of the hop (traceparent) or, where a record has none, of the transmission's
// start (ce_traceparent).
func Extract(ctx context.Context, headers broker.Headers) context.Context {
	c := propagation.MapCarrier{traceparent: header(headers, traceparent), tracestate: header(headers, tracestate)}
	if c[traceparent] == "" {
		c = propagation.MapCarrier{traceparent: header(headers, startparent)}
	}
	return w3c.Extract(ctx, c)
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
