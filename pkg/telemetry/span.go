package telemetry

import (
	"context"
	"strconv"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracer of the provider that is set now, so that a test can set its own.
func tracer() trace.Tracer { return otel.GetTracerProvider().Tracer(scope) }

// unseen says that a span would only be one more id: it has a trace to belong to, and nobody exports any. What it
// would cost for every event is more than deciding it does (docs/performance.md).
func unseen(ctx context.Context) bool {
	return !Traced() && trace.SpanContextFromContext(ctx).IsValid()
}

// Traced says that spans go somewhere: what would be done for them alone may be left out otherwise.
func Traced() bool {
	_, kept := otel.GetTracerProvider().(unexported)
	return !kept
}

// finish ends a span, if there is one, with the class of the error: its words may hold an address, which has no place
// in telemetry.
func finish(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, fault.ClassOf(err).String())
		span.SetAttributes(errorType.String(fault.ClassOf(err).String()))
	}
	span.End()
}

// sending begins the span of Send; nil: none is needed.
func sending(ctx context.Context, to broker.TopicPartition, id, orderID string) (context.Context, trace.Span) {
	if unseen(ctx) {
		return ctx, nil
	}
	return tracer().Start(ctx, opSend+" "+to.Topic, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(system, operationName.String(opSend), operationType.String(opSend), Topic.String(to.Topic),
			Partition.String(strconv.Itoa(to.Partition)), messageID.String(id), conversationID.String(orderID)))
}
