package mail

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

var duration = telemetry.MailDuration.Histogram()

// watch tells telemetry about an attempt to send, the wait for a connection included; never about the recipient. The
// returned function ends it.
func watch(ctx context.Context, m domain.Mail) (context.Context, func(error)) {
	began := time.Now()
	kind := attribute.String("troupe.mail.kind", string(m.Kind))
	ctx, span := otel.Tracer("github.com/troupe-dev/troupe/services/notification").Start(ctx, "send mail",
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(kind))
	return ctx, func(err error) {
		outcome := "sent"
		refused, isRefused := errors.AsType[*Refused](err)
		switch {
		case isRefused && refused.ForNow:
			outcome = "deferred"
		case isRefused:
			outcome = "refused"
		case err != nil:
			outcome = "unavailable"
			span.SetStatus(codes.Error, err.Error())
		}
		o := telemetry.Reason.String(outcome)
		span.SetAttributes(o)
		span.End()
		duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(kind, o))
	}
}
