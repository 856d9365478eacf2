package telemetry_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/telemetry/telemetrytest"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

func TestMain(m *testing.M) {
	telemetrytest.Record()
	os.Exit(m.Run())
}

// start starts telemetry and puts the globals back when the test ends.
func start(t *testing.T) {
	t.Helper()
	tracers, meters, logger := otel.GetTracerProvider(), otel.GetMeterProvider(), slog.Default()
	stop, err := telemetry.Start(t.Context(), "order", telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		otel.SetTracerProvider(tracers)
		otel.SetMeterProvider(meters)
		slog.SetDefault(logger)
	})
	t.Cleanup(func() {
		if err := stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

func scrape(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	telemetry.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestMetricsAreServedWithoutAnyExporter(t *testing.T) {
	start(t)
	telemetry.EventsParked.Counter().Add(t.Context(), 3)
	telemetry.ApplyDuration.Histogram().Record(t.Context(), 0.002)
	body := scrape(t)
	for _, want := range []string{
		`service_name="order"`, "troupe_events_parked_total{", "} 3\n", `troupe_apply_duration_seconds_bucket{`, `le="0.0025"} 1`,
		"go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %q in:\n%s", want, body)
		}
	}
}

func TestCountersBeginAtZero(t *testing.T) {
	telemetry.StreamsDropped.Counter()
	if _, ok := telemetrytest.Metric(t, telemetry.StreamsDropped.Name); ok {
		t.Fatal("counted before the start")
	}
	start(t)
	if _, ok := telemetrytest.Metric(t, telemetry.StreamsDropped.Name); !ok {
		t.Error("what never happened cannot be seen")
	}
}

func TestTraceIDsExistButNothingIsRecordedWhereNobodyAsks(t *testing.T) {
	start(t)
	_, span := otel.Tracer("test").Start(t.Context(), "x")
	defer span.End()
	if !span.SpanContext().TraceID().IsValid() {
		t.Error("no trace id")
	}
	if span.IsRecording() {
		t.Error("the span is recorded for nobody")
	}
}

func TestExporters(t *testing.T) {
	for _, signal := range []string{"TRACES", "METRICS", "LOGS"} {
		t.Run(signal, func(t *testing.T) {
			t.Setenv("OTEL_"+signal+"_EXPORTER", "pigeon")
			_, err := telemetry.Start(t.Context(), "order", telemetry.Config{})
			if err == nil || !strings.Contains(err.Error(), "OTEL_"+signal+"_EXPORTER") || !strings.Contains(err.Error(), "pigeon") {
				t.Errorf("Start with an unknown exporter: %v; want an error naming the variable and the value", err)
			}
		})
	}
}

func TestSpansAndLogsReachACollector(t *testing.T) {
	got := make(chan string, 16)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read what was exported: %v", err)
		}
		got <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	tracers, meters, logger := otel.GetTracerProvider(), otel.GetMeterProvider(), slog.Default()
	defer func() { otel.SetTracerProvider(tracers); otel.SetMeterProvider(meters); slog.SetDefault(logger) }()
	stop, err := telemetry.Start(t.Context(), "order", telemetry.Config{LogLevel: slog.LevelWarn})
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := otel.Tracer("test").Start(t.Context(), "the span")
	telemetry.EventsSuperseded.Counter().Add(ctx, 1)
	slog.WarnContext(ctx, "the warning")
	slog.InfoContext(ctx, "the whisper")
	span.End()
	if err := stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(got)
	exported := map[string]string{}
	for e := range got {
		path, body, _ := strings.Cut(e, " ")
		exported[path] += body
	}
	for path, want := range map[string]string{"/v1/traces": "the span", "/v1/metrics": "troupe.events.superseded", "/v1/logs": "the warning"} {
		if !strings.Contains(exported[path], want) {
			t.Errorf("%s got no %q", path, want)
		}
	}
	if strings.Contains(exported["/v1/logs"], "the whisper") {
		t.Error("a record below LOG_LEVEL was exported")
	}
}

func TestConfig(t *testing.T) {
	c, err := config.Load[telemetry.Config](nil)
	if err != nil || c.LogFormat != "text" || c.LogLevel != slog.LevelInfo {
		t.Errorf("defaults: %+v, %v; want text, INFO", c, err)
	}
	c, err = config.Load[telemetry.Config]([]string{"LOG_FORMAT=json", "LOG_LEVEL=debug"})
	if err != nil || c.LogFormat != "json" || c.LogLevel != slog.LevelDebug {
		t.Errorf("set: %+v, %v; want json, DEBUG", c, err)
	}
	for _, bad := range []string{"LOG_FORMAT=xml", "LOG_LEVEL=loud"} {
		if _, err := config.Load[telemetry.Config]([]string{bad}); err == nil || !strings.Contains(err.Error(), strings.Split(bad, "=")[0]) {
			t.Errorf("%s: %v; want an error naming the variable", bad, err)
		}
	}
}

func TestTraceParent(t *testing.T) {
	if got := telemetry.TraceParent(t.Context()); got != "" {
		t.Errorf("TraceParent without a span = %q, want none", got)
	}
	telemetrytest.Spans(t)
	ctx, span := otel.Tracer("test").Start(t.Context(), "x")
	defer span.End()
	sc := trace.SpanContextFromContext(ctx)
	if got, want := telemetry.TraceParent(ctx), "00-"+sc.TraceID().String()+"-"+sc.SpanID().String()+"-01"; got != want {
		t.Errorf("TraceParent = %q, want %q", got, want)
	}
}
