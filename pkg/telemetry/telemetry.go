// Package telemetry starts OpenTelemetry and structured logs, and holds every span, metric and attribute name of
// Troupe. It is the only importer of the OpenTelemetry SDK.
package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/troupe-dev/troupe/pkg/buildinfo"
	"github.com/troupe-dev/troupe/pkg/fault"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config of logs. Where spans, metrics and logs are exported to is read from OpenTelemetry's own variables (OTEL_*, see
// Start); its zero value logs text from level info on.
type Config struct {
	LogFormat LogFormat  `env:"LOG_FORMAT" envDefault:"text" help:"shape of the log lines on stderr: text for people, json for machines"`
	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info" help:"least level that is logged: debug, info, warn or error"`
}

// registry is what MetricsHandler serves: that of the latest Start.
var registry atomic.Pointer[prometheus.Registry]

// Start sets the global tracer, meter and logger providers, the W3C propagators and slog's default logger, for a
// service of that name. Metrics are always there for MetricsHandler. Beyond that, traces, metrics and logs go where
// OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_LOGS_EXPORTER (otlp, console, none) and OTEL_EXPORTER_OTLP_* say;
// with none of them set, nowhere. It does not wait for a collector; an unknown exporter or protocol is an error of
// class Invalid that names the variable.
//
// stop flushes and closes all of it, until its ctx ends. Instruments made before the first Start of a process stay with
// that one, so a process starts once.
func Start(ctx context.Context, service string, cfg Config) (stop func(context.Context) error, err error) {
	var stops []func(context.Context) error
	stop = func(ctx context.Context) error {
		var errs []error
		for _, s := range stops {
			errs = append(errs, s(ctx))
		}
		return errors.Join(errs...)
	}
	fail := func(variable string, err error) (func(context.Context) error, error) {
		return nil, errors.Join(fault.Field(variable, "start telemetry with %q: %w", os.Getenv(variable), err), stop(ctx))
	}
	res, err := describe(ctx, service)
	if err != nil {
		return fail("OTEL_RESOURCE_ATTRIBUTES", err)
	}
	tracers, err := newTracers(ctx, res)
	if err != nil {
		return fail("OTEL_TRACES_EXPORTER", err)
	}
	stops = append(stops, tracers.Shutdown)
	reg := prometheus.NewRegistry()
	_, untraced := tracers.(unexported)
	meters, err := newMeters(ctx, res, reg, untraced)
	if err != nil {
		return fail("OTEL_METRICS_EXPORTER", err)
	}
	stops = append(stops, meters.Shutdown)
	loggers, err := newLoggers(ctx, res)
	if err != nil {
		return fail("OTEL_LOGS_EXPORTER", err)
	}
	console := newConsole(os.Stderr, cfg).WithAttrs([]slog.Attr{slog.String("service", service)})
	handler := console
	if loggers != nil {
		stops = append(stops, loggers.Shutdown)
		otel.SetLoggerProvider(loggers)
		handler = exported(console, cfg, service, loggers)
	}
	otel.SetTracerProvider(tracers)
	otel.SetMeterProvider(meters)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	// To the console alone: an error of exporting logs must not become another log to export.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		slog.New(console).Warn("telemetry failed", "error", err)
	}))
	slog.SetDefault(slog.New(handler))
	registry.Store(reg)
	beginCounters(ctx)
	return stop, nil
}

// MetricsHandler serves GET /metrics in Prometheus' format: the instruments of OpenTelemetry, the Go runtime and the
// process. 503 before Start.
func MetricsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reg := registry.Load()
		if reg == nil {
			http.Error(w, "telemetry is not started", http.StatusServiceUnavailable)
			return
		}
		promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
}

// describe says who sends the telemetry. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES have the last word.
func describe(ctx context.Context, service string) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithAttributes(
			serviceName.String(service),
			serviceVersion.String(buildinfo.Version()),
			serviceInstance.String(uuid.NewString()),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
}

// unasked is true where nobody said where to export to: then nothing is exported, so that a laptop stays quiet.
func unasked() bool { return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" }

// tracerProvider is what Start needs of one.
type tracerProvider interface {
	trace.TracerProvider
	Shutdown(context.Context) error
}

// unexported is a provider whose spans nobody sees.
type unexported struct{ *sdktrace.TracerProvider }

func newTracers(ctx context.Context, res *resource.Resource) (tracerProvider, error) {
	var opts []autoexport.SpanOption
	if unasked() {
		opts = append(opts, autoexport.WithFallbackSpanExporter(
			func(context.Context) (sdktrace.SpanExporter, error) { return nil, nil }))
	}
	exporter, err := autoexport.NewSpanExporter(ctx, opts...)
	if err != nil {
		return nil, err
	}
	if exporter == nil || autoexport.IsNoneSpanExporter(exporter) {
		// Ids all the same, for logs and problem documents; recording would be work for nobody.
		return unexported{sdktrace.NewTracerProvider(sdktrace.WithResource(res),
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))}, nil
	}
	return sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter)), nil
}

func newMeters(ctx context.Context, res *resource.Resource, reg *prometheus.Registry, untraced bool) (*sdkmetric.MeterProvider, error) {
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	scraped, err := promexporter.New(promexporter.WithRegisterer(reg))
	if err != nil {
		return nil, err
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(scraped)}
	if untraced { // no trace to give as an example: not looked for with every measurement
		opts = append(opts, sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	}
	var fallback []autoexport.MetricOption
	if unasked() {
		fallback = append(fallback, autoexport.WithFallbackMetricReader(
			func(context.Context) (sdkmetric.Reader, error) { return nil, nil }))
	}
	pushed, err := autoexport.NewMetricReader(ctx, fallback...)
	if err != nil {
		return nil, err
	}
	if pushed != nil && !autoexport.IsNoneMetricReader(pushed) {
		opts = append(opts, sdkmetric.WithReader(pushed))
	}
	return sdkmetric.NewMeterProvider(opts...), nil
}

// newLoggers returns nil when logs are not exported.
func newLoggers(ctx context.Context, res *resource.Resource) (*sdklog.LoggerProvider, error) {
	var opts []autoexport.LogOption
	if unasked() {
		opts = append(opts, autoexport.WithFallbackLogExporter(
			func(context.Context) (sdklog.Exporter, error) { return nil, nil }))
	}
	exporter, err := autoexport.NewLogExporter(ctx, opts...)
	if err != nil || exporter == nil || autoexport.IsNoneLogExporter(exporter) {
		return nil, err
	}
	return sdklog.NewLoggerProvider(sdklog.WithResource(res),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter))), nil
}
