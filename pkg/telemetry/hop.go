package telemetry

import (
	"context"
	"sync"

	"github.com/troupe-dev/troupe/pkg/broker"
	"go.opentelemetry.io/otel/trace"
)

// hop is the context of a record's processing where no spans are exported and the record names its trace: that is read
// when somebody asks for the span. Most reactions do not, and for every record it was a tenth of all objects.
type hop struct {
	context.Context
	headers broker.Headers
	built   sync.Once
	traced  context.Context
}

// Value implements context.Context.
func (h *hop) Value(key any) any {
	if key != spanKey {
		return h.Context.Value(key)
	}
	h.built.Do(func() { h.traced = Extract(h.Context, h.headers) })
	return h.traced.Value(key)
}

// spanKey is what a span is kept under in a context, which only the trace package knows.
var spanKey = func() any {
	var asked asked
	trace.SpanFromContext(&asked)
	return asked.key
}()

// asked is a context that remembers what it was asked for.
type asked struct {
	context.Context
	key any
}

func (a *asked) Value(key any) any {
	a.key = key
	return nil
}

// Begun is the span that Process began; it is not valid where none was needed, and the trace of the record goes on as
// it is.
func Begun(ctx context.Context) trace.SpanContext {
	if _, ok := ctx.(*hop); ok {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(ctx)
}

// Answer is Send and Inject for a message that answers a record: begun is the span of the record's processing, see
// Begun, and heard its headers. hop are the headers of the message; ended is nil where no span was needed. That it was
// sent is for Sent.
func Answer(begun trace.SpanContext, heard broker.Headers, to broker.TopicPartition, id, orderID string) (
	hop broker.Headers, ended func(error)) {
	if parent := forwarded(heard); !begun.IsValid() && parent != nil {
		return hop.Append(traceparent, parent), nil
	}
	ctx := context.Background()
	if begun.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, begun)
	} else {
		ctx = Extract(ctx, heard)
	}
	ctx, span := sending(ctx, to, id, orderID)
	if span != nil {
		ended = func(err error) { finish(span, err) }
	}
	return Inject(ctx, nil), ended
}

// forwarded is the traceparent of a record's hop, or of its transmission's start, when no span is needed to go on from
// it, and when what goes on is what came, byte for byte; otherwise nil. The bytes are the record's own.
func forwarded(headers broker.Headers) []byte {
	if Traced() {
		return nil
	}
	var parent, start []byte
	for key, value := range headers.All() {
		switch key {
		case traceparent:
			parent = value
		case startparent:
			start = value
		case tracestate:
			return nil
		}
	}
	if len(parent) == 0 {
		parent = start
	}
	if !canonical(parent) {
		return nil
	}
	return parent
}

// canonical says that a traceparent is valid and written as it is written here (https://www.w3.org/TR/trace-
// context-2/#traceparent-header): version 00, ids that are not 0, and no other flags than sampled and random.
func canonical(t []byte) bool {
	const traceID, spanID, flags, end = 3, 36, 53, 55
	if len(t) != end || t[0] != '0' || t[1] != '0' || t[2] != '-' || t[spanID-1] != '-' || t[flags-1] != '-' {
		return false
	}
	return isID(t[traceID:spanID-1]) && isID(t[spanID:flags-1]) &&
		t[flags] == '0' && t[flags+1] >= '0' && t[flags+1] <= '3'
}

// isID: lower-case hexadecimal, and not 0.
func isID(hex []byte) bool {
	zero := true
	for _, c := range hex {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
		zero = zero && c == '0'
	}
	return !zero
}
