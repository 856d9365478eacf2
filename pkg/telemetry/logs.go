package telemetry

import (
	"context"
	"io"
	"log/slog"

	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"
)

// Config of logs. Where spans, metrics and logs are exported to is read from OpenTelemetry's own variables (OTEL_*, see
// Start); its zero value logs text from level info on.
type Config struct {
	LogFormat string     `env:"LOG_FORMAT" envDefault:"text" oneof:"text json" help:"shape of the log lines on stderr: text for people, json for machines"`
	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info" help:"least level that is logged: debug, info, warn or error"`
}

// newConsole writes log lines to w, each with the trace_id and span_id of its context.
func newConsole(w io.Writer, cfg Config) slog.Handler {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return traced{slog.NewJSONHandler(w, opts)}
	}
	return traced{slog.NewTextHandler(w, opts)}
}

// traced is a handler that adds the ids of the span to each line.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }
func (h traced) WithGroup(name string) slog.Handler       { return traced{h.Handler.WithGroup(name)} }

// atLeast is a processor that exports no records below a level: the bridge from slog asks it before each.
type atLeast struct {
	sdklog.Processor
	level slog.Level
}

// Enabled implements sdklog.Processor. Levels of slog lie at a fixed distance from OpenTelemetry's severities.
func (p atLeast) Enabled(_ context.Context, of sdklog.EnabledParameters) bool {
	return slog.Level(of.Severity-otellog.SeverityInfo) >= p.level
}
