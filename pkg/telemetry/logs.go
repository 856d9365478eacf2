package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
)

// LogFormat is the shape of log lines; the zero value is text.
type LogFormat string

// The shapes.
const (
	Text LogFormat = "text"
	JSON LogFormat = "json"
)

// UnmarshalText refuses any other shape.
func (f *LogFormat) UnmarshalText(text []byte) error {
	switch v := LogFormat(text); v {
	case Text, JSON:
		*f = v
		return nil
	default:
		return fmt.Errorf("must be text or json, is %q", text)
	}
}

// newConsole writes log lines to w, each with the trace_id and span_id of its context.
func newConsole(w io.Writer, cfg Config) slog.Handler {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == JSON {
		return traced{slog.NewJSONHandler(w, opts)}
	}
	return traced{slog.NewTextHandler(w, opts)}
}

// exported writes to the console and hands the same records to OpenTelemetry.
func exported(console slog.Handler, cfg Config, service string, loggers log.LoggerProvider) slog.Handler {
	bridge := otelslog.NewHandler(service, otelslog.WithLoggerProvider(loggers))
	return slog.NewMultiHandler(console, atLeast{bridge, cfg.LogLevel})
}

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

// atLeast drops records below a level; the bridge itself takes all.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.level && h.Handler.Enabled(ctx, l)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
