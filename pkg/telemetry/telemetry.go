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
	"go.opentelemetry.io/contrib/bridges/otelslog"
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
	meters, err := newMeters(ctx, res, reg)
	if err != nil {
		return fail("OTEL_METRICS_EXPORTER", err)
	}
	stops = append(stops, meters.Shutdown)
	console := newConsole(os.Stderr, cfg).WithAttrs([]slog.Attr{slog.String("service", service)})
	handler := console
	if exports("LOGS") {
		exporter, err := autoexport.NewLogExporter(ctx)
		if err != nil {
			return fail("OTEL_LOGS_EXPORTER", err)
		}
		loggers := sdklog.NewLoggerProvider(sdklog.WithResource(res),
			sdklog.WithProcessor(atLeast{sdklog.NewBatchProcessor(exporter), cfg.LogLevel}))
		stops = append(stops, loggers.Shutdown)
		otel.SetLoggerProvider(loggers)
		handler = slog.NewMultiHandler(console, otelslog.NewHandler(service))
	}
	otel.SetTracerProvider(tracers)
	otel.SetMeterProvider(meters)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(w3c, propagation.Baggage{}))
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

// exports says whether a signal (TRACES, METRICS, LOGS) goes anywhere: where its variable says, or to the endpoint.
// Without either it goes nowhere, where autoexport would look for a collector on this host.
func exports(signal string) bool {
	exporter := os.Getenv("OTEL_" + signal + "_EXPORTER")
	return exporter != "none" && (exporter != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "")
}

// tracerProvider is what Start needs of one.
type tracerProvider interface {
	trace.TracerProvider
	Shutdown(context.Context) error
}

// unexported is a provider whose spans nobody sees. It makes ids all the same, for logs and problem documents;
// recording would be work for nobody.
type unexported struct{ *sdktrace.TracerProvider }

func newTracers(ctx context.Context, res *resource.Resource) (tracerProvider, error) {
	if !exports("TRACES") {
		return unexported{sdktrace.NewTracerProvider(sdktrace.WithResource(res),
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())))}, nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, err
	}
	return sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter)), nil
}

// newMeters registers the Go runtime's and the process's own metrics too.
func newMeters(ctx context.Context, res *resource.Resource, reg *prometheus.Registry) (
	*sdkmetric.MeterProvider, error) {
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	scraped, err := promexporter.New(promexporter.WithRegisterer(reg))
	if err != nil {
		return nil, err
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(scraped)}
	if !exports("TRACES") { // no trace to give as an example: not looked for with every measurement
		opts = append(opts, sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	}
	if exports("METRICS") {
		pushed, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, err
		}
		opts = append(opts, sdkmetric.WithReader(pushed))
	}
	return sdkmetric.NewMeterProvider(opts...), nil
}
