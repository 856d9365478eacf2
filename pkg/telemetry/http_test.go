package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/telemetry/telemetrytest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
)

func TestHTTPSpansAndMetricsHaveMethodAndRoute(t *testing.T) {
	spans := telemetrytest.Spans(t)
	r := chi.NewRouter()
	r.Use(telemetry.Route)
	r.Route("/orders", func(r chi.Router) {
		r.Get("/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	})
	r.Get("/livez", func(http.ResponseWriter, *http.Request) {})
	h := telemetry.HTTP("order")(r)
	for _, path := range []string{"/orders/o-1", "/nowhere/at/all", "/livez"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	var names []string
	for _, s := range spans.Ended() {
		names = append(names, s.Name())
		if s.SpanKind() != trace.SpanKindServer {
			t.Errorf("span %q is of kind %v", s.Name(), s.SpanKind())
		}
	}
	if want := []string{"GET /orders/{id}", "GET"}; !slices.Equal(names, want) {
		t.Fatalf("spans %q, want %q (health left out, no path of an unknown route)", names, want)
	}
	if route := attribute.String("http.route", "/orders/{id}"); !slices.Contains(spans.Ended()[0].Attributes(), route) {
		t.Errorf("span attributes %v lack %v", spans.Ended()[0].Attributes(), route)
	}
	m, ok := telemetrytest.Metric(t, "http.server.request.duration")
	if !ok {
		t.Fatal("no http.server.request.duration")
	}
	for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
		route, _ := p.Attributes.Value("http.route")
		method, _ := p.Attributes.Value("http.request.method")
		status, _ := p.Attributes.Value("http.response.status_code")
		if route.AsString() == "/orders/{id}" && method.AsString() == "GET" && status.AsInt64() == http.StatusTeapot {
			return
		}
	}
	t.Errorf("no point with route, method and status in %+v", m.Data)
}
