// Package gateway is the adapter of the payment gateway, over Stripe's API.
//
// Every step that changes something carries an idempotency key made from the id of the event that asks, so a step whose outcome
// is unknown (a time-out, a crash) is asked again with the same key, by whatever instance, and cannot happen twice. The answer to a
// repeated key is the first answer, which may be out of date: only what is final in it is believed, else the intent is read.
package gateway

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v84"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/upstream"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric"
)

// Config says which gateway moves the money, and how to ask it.
type Config struct {
	URL     string        `env:"PAYMENT_GATEWAY_URL" envDefault:"http://127.0.0.1:8090" help:"base of the gateway's API: the simulator, or https://api.stripe.com"`
	Key     config.Secret `env:"PAYMENT_GATEWAY_KEY" envDefault:"sk_test_simulator" help:"secret API key of the gateway; one that begins with sk_live_ moves real money"`
	Timeout time.Duration `env:"PAYMENT_GATEWAY_TIMEOUT" envDefault:"10s" min:"100ms" max:"1m" help:"longest wait for one answer of the gateway; after it the outcome is unknown and is asked for again, with the same idempotency key"`
}

// Validate returns all that cannot be right.
func (c Config) Validate() error {
	u, err := config.BaseURL("PAYMENT_GATEWAY_URL", c.URL)
	key, keyErr := c.Key.Read()
	return errors.Join(err, keyErr,
		fault.FieldIf(strings.Trim(u.Path, "/") != "", "PAYMENT_GATEWAY_URL", "must be without a path"),
		fault.FieldIf(strings.Contains(key, "_live_") && u.Scheme != "https", "PAYMENT_GATEWAY_URL",
			"must be https with a key that moves real money"),
		fault.FieldIf(key == "" || strings.ContainsAny(key, " \r\n\t"), "PAYMENT_GATEWAY_KEY", "must be set, without spaces"))
}

// Stripe is a gateway that speaks Stripe's API. It is safe for concurrent use, and never retries by itself: its caller asks
// again.
type Stripe struct {
	api       *stripe.Client
	standing  *upstream.Standing // it took somebody's request when it last created an intent
	runs      upstream.Runs      // of customers, since one was charged: a key, a bank's outage, somebody who tries stolen cards
	clock     *clock.Clock
	transport *http.Transport
	unwatch   func()
}

// Open returns a gateway that keeps so many connections for requests to come; it makes none yet. The clock hears the
// Date of every answer, and nothing is given up for a deadline while it is wrong. Nil: it is believed.
func Open(cfg Config, connections int, now *clock.Clock) *Stripe {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = connections
	transport.MaxIdleConnsPerHost = connections
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:               stripe.String(strings.TrimRight(cfg.URL, "/")),
		HTTPClient:        &http.Client{Transport: otelhttp.NewTransport(wire{transport, cfg.Key, now}), Timeout: cfg.Timeout},
		MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry:   stripe.Bool(false),
		// Its own log would hold whole answers.
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	g := &Stripe{
		api: stripe.NewClient("", stripe.WithBackends(backends)), clock: now, transport: transport,
		standing: upstream.New("payment gateway (PAYMENT_GATEWAY_URL, PAYMENT_GATEWAY_KEY)"),
	}
	g.unwatch = g.runs.Measure(telemetry.GatewayRefused)
	return g
}

// Close closes the connections that wait for requests.
func (g *Stripe) Close() {
	g.unwatch()
	g.transport.CloseIdleConnections()
}

// Ready returns nil, or why the gateway takes nothing from this service until somebody changes a setting here or there.
func (g *Stripe) Ready() error { return g.standing.Ready() }

var duration = telemetry.GatewayDuration.Histogram()

// wire asks with the key as it is at each request, so that one that was rotated is taken. It measures every request by
// what became of it, a class of HTTP status (2xx, …) or unknown, and has the clock hear when that was.
type wire struct {
	next  http.RoundTripper
	key   config.Secret
	clock *clock.Clock
}

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	key, err := w.key.Read()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+key)
	began := time.Now()
	resp, err := w.next.RoundTrip(r)
	outcome := "unknown"
	if err == nil {
		outcome = string(rune('0'+resp.StatusCode/100)) + "xx"
		if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			w.clock.Heard(clock.Gateway, date, time.Second, began, time.Now())
		}
	}
	duration.Record(r.Context(), time.Since(began).Seconds(), metric.WithAttributes(telemetry.Reason.String(outcome)))
	return resp, err
}
