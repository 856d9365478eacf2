package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

func inSpan(t *testing.T) context.Context {
	t.Helper()
	return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0xab, 15: 1}, SpanID: trace.SpanID{0xcd, 7: 2},
	}))
}

func TestLogsCarryTheirTrace(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newConsole(&out, Config{LogFormat: "json"})).With("service", "order")
	log.InfoContext(inSpan(t), "event answered", "order_id", "o-1")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("not JSON: %v: %s", err, out.String())
	}
	for k, want := range map[string]string{
		"trace_id": "ab000000000000000000000000000001", "span_id": "cd00000000000002",
		"service": "order", "order_id": "o-1", "msg": "event answered", "level": "INFO",
	} {
		if line[k] != want {
			t.Errorf("%s = %v, want %s", k, line[k], want)
		}
	}
	out.Reset()
	log.Info("no span")
	if strings.Contains(out.String(), "trace_id") {
		t.Errorf("a line without a span names a trace: %s", out.String())
	}
}

func TestLogLevelAndText(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newConsole(&out, Config{LogFormat: "text", LogLevel: slog.LevelWarn})).WithGroup("g")
	log.Info("dropped")
	log.WarnContext(inSpan(t), "kept", "k", "v")
	if got := out.String(); strings.Contains(got, "dropped") || !strings.Contains(got, "msg=kept g.k=v") {
		t.Errorf("wrote %q; want only the warning, as text", got)
	}
}
