// Package gateway is the adapter of the payment gateway, over Stripe's API.
//
// Every step that changes something carries an idempotency key made from the id of the event that asks, so a step whose outcome
// is unknown (a time-out, a crash) is asked again with the same key, by whatever instance, and cannot happen twice. The answer to a
// repeated key is the first answer, which may be out of date: only what is final in it is believed, else the intent is read.
package gateway

import (
	"net/http"
	"time"

	"github.com/stripe/stripe-go/v84"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/upstream"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric"
)

// Config says where the gateway is. All fields but Clock are required.
type Config struct {
	// URL is the base of the API without a path, such as https://api.stripe.com.
	URL string
	// Key is the secret API key.
	Key config.Secret
	// Timeout bounds each request.
	Timeout time.Duration
	// Connections kept open for requests to come.
	Connections int
	// Clock hears the Date of every answer, and nothing is given up for a deadline while it is wrong. Nil: it is
	// believed.
	Clock *clock.Clock
}

// Stripe is a gateway that speaks Stripe's API. It is safe for concurrent use, and never retries by itself: its caller asks
// again.
type Stripe struct {
	api       *stripe.Client
	standing  *upstream.Standing // it took somebody's request when it last created an intent
	runs      runs
	clock     *clock.Clock
	transport *http.Transport
	unwatch   func()
}

// Open returns a gateway; it makes no connection yet.
func Open(cfg Config) *Stripe {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = cfg.Connections
	transport.MaxIdleConnsPerHost = cfg.Connections
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:               stripe.String(cfg.URL),
		HTTPClient:        &http.Client{Transport: otelhttp.NewTransport(timed{keyed{transport, cfg.Key}, cfg.Clock}), Timeout: cfg.Timeout},
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		// Its own log would hold whole answers.
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	g := &Stripe{api: stripe.NewClient("", stripe.WithBackends(backends)), clock: cfg.Clock, transport: transport}
	g.standing = upstream.New("payment gateway (PAYMENT_GATEWAY_URL, PAYMENT_GATEWAY_KEY)")
	g.unwatch = telemetry.Gauges(g.runs.observe, telemetry.GatewayRefused)
	return g
}

// Close closes the connections that wait for requests.
func (g *Stripe) Close() {
	g.unwatch()
	g.transport.CloseIdleConnections()
}

var duration = telemetry.GatewayDuration.Histogram()

// timed measures every request by what became of it: a class of HTTP status (2xx, …), or unknown. It has the clock hear
// when that was.
type timed struct {
	next  http.RoundTripper
	clock *clock.Clock
}

func (t timed) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := t.next.RoundTrip(r)
	outcome := "unknown"
	if err == nil {
		outcome = string(rune('0'+resp.StatusCode/100)) + "xx"
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			t.clock.Heard(clock.Gateway, date, time.Second, began, time.Now())
		}
	}
	duration.Record(r.Context(), time.Since(began).Seconds(), metric.WithAttributes(telemetry.Reason.String(outcome)))
	return resp, err
}

// keyed shows the key as it is at each request, so that one that was rotated is taken.
type keyed struct {
	next http.RoundTripper
	key  config.Secret
}

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := k.key.Read()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+key)
	return k.next.RoundTrip(r)
}
