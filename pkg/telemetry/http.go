package telemetry

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"
)

// HTTP gives every request a server span and the http.server.* metrics. It belongs outside the chi router, and Route
// inside it: only there is the route known, and only after it was served. Health and metrics requests are left out.
func HTTP(service string) func(http.Handler) http.Handler {
	return otelhttp.NewMiddleware(service,
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method }),
		otelhttp.WithFilter(func(r *http.Request) bool {
			switch r.URL.Path {
			case "/livez", "/readyz", "/servez", "/metrics":
				return false
			}
			return true
		}))
}

// Route is the first middleware of a chi router: it names the span after method and route, and gives the route to the
// span and to the metrics of HTTP. Where no route matches, the span keeps the method alone as its name.
func Route(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		rctx := chi.RouteContext(r.Context())
		if rctx == nil || rctx.RoutePattern() == "" {
			return
		}
		route := httpRoute.String(rctx.RoutePattern())
		span := trace.SpanFromContext(r.Context())
		span.SetName(r.Method + " " + rctx.RoutePattern())
		span.SetAttributes(route)
		if labeler, ok := otelhttp.LabelerFromContext(r.Context()); ok {
			labeler.Add(route)
		}
	})
}
