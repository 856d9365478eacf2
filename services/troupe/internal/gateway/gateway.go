// Package gateway simulates a payment gateway: as much of Stripe's API as charging and refunding needs, with Stripe's
// semantics of idempotency keys, a ledger on disk that no kill -9 makes forget, and switches that make it slow, decline or fail.
package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/services/troupe/internal/journal"
	"github.com/troupe-dev/troupe/services/troupe/internal/switches"
)

// ledgerFile in the simulator's folder is a journal with an entry for each change.
const ledgerFile = "ledger.jsonl"

// Bounds of the requests below /v1 at the same time: those that are worked on, and those that wait to be, for up to
// waitFor; others get 429.
const (
	maxInFlight = 4096
	maxWaiting  = 16 * maxInFlight
	waitFor     = time.Minute
)

// keysKeptFor is how long Stripe remembers idempotency keys at least.
const keysKeptFor = 24 * time.Hour

// Config is everything that can be set from outside.
type Config struct {
	Addr string `env:"GATEWAY_ADDR" envDefault:"127.0.0.1:8090" help:"where the gateway simulator listens, host:port; it has no login, so keep it on loopback"`
	Dir  string `env:"GATEWAY_DIR" envDefault:".play/gateway" help:"folder of the simulator's ledger; one simulator per folder. It grows by about 1 KiB a charge, and the memory by 2 KiB, and is never cut"`

	Hosts []string `env:"GATEWAY_HOSTS" help:"further names under which the simulator is asked, separated by commas, lower case, without ports; .name stands for every name that ends in it. It answers to localhost, addresses and names without a dot anyway"`

	Telemetry telemetry.Config

	// Now is the clock; nil means time.Now.
	Now func() time.Time `env:"-"`
	// Listening is called once with the address; nil: nobody is told.
	Listening func(net.Addr) `env:"-"`
}

// HealthVariable says where -health asks.
func (Config) HealthVariable() string { return "GATEWAY_ADDR" }

// Validate names the first wrong variable.
func (c *Config) Validate() error {
	if c.Dir == "" {
		return fault.Field("GATEWAY_DIR", "must name a folder")
	}
	return httpdoor.CheckHosts("GATEWAY_HOSTS", c.Hosts)
}

// Run serves the simulator until ctx ends. It fails when the ledger cannot be read or written.
func Run(ctx context.Context, cfg Config) (err error) {
	flush, err := telemetry.Start(ctx, "gateway", cfg.Telemetry)
	if err != nil {
		return err
	}
	defer func() {
		within, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		err = errors.Join(err, flush(within))
	}()
	s, err := New(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ln, err := lifecycle.Listen(cfg.Addr)
	if err != nil {
		return err
	}
	if cfg.Listening != nil {
		cfg.Listening(ln.Addr())
	}
	door := httpdoor.Config{Hosts: cfg.Hosts, Variable: "GATEWAY_HOSTS", Internal: true}
	return lifecycle.Run(ctx,
		lifecycle.Part{Name: "ledger", Run: s.ledger.Watch}, // what the book says then is not what the disk says
		lifecycle.HTTP("http", ln, door, telemetry.HTTP("gateway")(s.Handler())),
	)
}

// Simulator is the gateway. Open it with New and end it with Close.
type Simulator struct {
	now     func() time.Time
	ledger  *journal.Journal
	control *switches.Switches[Control]
	health  *lifecycle.Health

	mu      sync.Mutex
	book    *book
	running map[string]bool // idempotency keys of requests being worked on
}

// New opens the ledger in cfg.Dir, which it creates if missing, and reads it. The error names the file and, for a ledger that is
// damaged other than by a torn last line, the line.
func New(cfg Config) (*Simulator, error) {
	s := &Simulator{now: cfg.Now, book: newBook(), running: map[string]bool{}, health: lifecycle.NewHealth()}
	if s.now == nil {
		s.now = time.Now
	}
	s.control = switches.New[Control](s.now)
	l, err := journal.Open(filepath.Join(cfg.Dir, ledgerFile), s.book.replay)
	if err != nil {
		return nil, err
	}
	s.ledger = l
	s.health.Check("ledger", l.Err)
	return s, nil
}

// Close closes the ledger. Requests in flight fail.
func (s *Simulator) Close() error { return s.ledger.Close() }

// Handler serves Stripe's API below /v1, and beside it the ledger and the switches.
func (s *Simulator) Handler() http.Handler {
	r := httpdoor.NewRouter()
	s.health.Routes(r)
	r.Get("/", http.RedirectHandler("/ledger", http.StatusFound).ServeHTTP)
	r.Get("/ledger", s.getLedger)
	s.control.Routes(r)
	r.Route("/v1", func(r chi.Router) {
		r.Use(middleware.ThrottleBacklog(maxInFlight, maxWaiting, waitFor), identify, s.admit)
		r.Post("/payment_intents", s.post(s.createIntent, "amount", "currency", "payment_method", "payment_method_types[]", "metadata[]"))
		r.Get("/payment_intents/search", s.get(s.searchIntents, "query"))
		r.Get("/payment_intents/{id}", s.get(s.getIntent))
		r.Post("/payment_intents/{id}/confirm",
			s.post(s.confirmIntent, "payment_method", "error_on_requires_action", "return_url", "off_session"))
		r.Post("/payment_intents/{id}/cancel", s.post(s.cancelIntent))
		r.Post("/refunds", s.post(s.createRefund, "payment_intent", "amount", "metadata[]"))
		r.Get("/refunds", s.get(s.listRefunds, "payment_intent"))
		r.NotFound(unknownURL)
		r.MethodNotAllowed(unknownURL)
	})
	return r
}
