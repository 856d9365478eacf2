package mail

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/troupe-dev/troupe/services/notification/internal/mail"

// watch tells telemetry about every attempt; never about the recipient.
type watch struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
}

func newWatch() (*watch, error) {
	d, err := otel.Meter(scope).Float64Histogram("troupe.mail.duration", metric.WithUnit("s"),
		metric.WithDescription("Attempts to hand a mail to the mail server, the wait for a connection included, by kind and outcome."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	return &watch{tracer: otel.Tracer(scope), duration: d}, err
}

// attempt begins a span; the returned function ends it.
func (w *watch) attempt(ctx context.Context, m domain.Mail) (context.Context, func(error)) {
	began := time.Now()
	kind := attribute.String("troupe.mail.kind", string(m.Kind))
	ctx, span := w.tracer.Start(ctx, "send mail", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(kind))
	return ctx, func(err error) {
		outcome := "sent"
		var refused *Refused
		switch {
		case errors.As(err, &refused):
			outcome = "refused"
		case err != nil:
			outcome = "unavailable"
			span.SetStatus(codes.Error, err.Error())
		}
		o := attribute.String("troupe.mail.outcome", outcome)
		span.SetAttributes(o)
		span.End()
		w.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(kind, o))
	}
}
