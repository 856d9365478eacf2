package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// flushWithin bounds the wait for telemetry at the end.
const flushWithin = 5 * time.Second

// LeaveWithin bounds the wait for a consumer to leave its group: it finishes, publishes and commits first.
const LeaveWithin = 20 * time.Second

// Start is what Run needs to know. Name and HTTPAddr are required.
type Start struct {
	Name string
	// HTTPAddr is where /livez, /readyz, /metrics and the service's API listen.
	HTTPAddr string
	// Drain is the wait between turning readiness off and closing HTTP.
	Drain time.Duration
	// Listening is called once with the address of HTTP; nil: nobody is told.
	Listening func(net.Addr)
	Config
}

// Service is one that starts.
type Service struct {
	Log *broker.Client
	// Redis refuses every command while its server would delete keys by itself.
	Redis redis.UniversalClient
	// API makes the service's own routes, beside operators' (health, metrics). HTTP then closes before the parts stop,
	// which answer the requests. Nil: operators' only, answered until the parts have stopped.
	API func(operators func(chi.Router)) http.Handler

	name   string
	health *lifecycle.Health
	parts  []lifecycle.Part
	close  []func() error
}

// AddCheck adds a condition of readiness: ready returns nil, or why not, without blocking.
func (s *Service) AddCheck(name string, ready func() error) { s.health.Check(name, ready) }

// Guard returns what stands before the routes of the service's APIs, which listen on addrs. The error is Invalid and
// names the variable: there is no issuer, and an address can be reached from elsewhere.
func (s *Service) Guard(cfg auth.Config, addrs ...string) (*auth.Guard, error) {
	if err := cfg.Exposed(addrs...); err != nil {
		return nil, err
	}
	if cfg.Issuer == "" {
		slog.Warn("authentication is off: no request needs a token", "addresses", addrs)
	}
	g := auth.New(cfg)
	s.AddCheck("issuer", g.Ready)
	s.AddPart(lifecycle.Part{Name: "issuer", Run: g.Run})
	return g, nil
}

// AddPart adds a part that runs until the service stops. Parts stop in reverse order.
func (s *Service) AddPart(p lifecycle.Part) { s.parts = append(s.parts, p) }

// OnStop adds what is closed once all parts have stopped, the last first.
func (s *Service) OnStop(f func()) { s.onStop(func() error { f(); return nil }) }

func (s *Service) onStop(f func() error) { s.close = append(s.close, f) }

// HTTP adds a further address that is served, with a guard of its own, and returns it. The error names the address.
func (s *Service) HTTP(name, addr string, guard httpdoor.Config, h http.Handler) (net.Addr, error) {
	part, at, err := s.listen(name, addr, guard, h)
	if err == nil {
		s.AddPart(part)
	}
	return at, err
}

// listen opens an address and makes the part that serves it.
func (s *Service) listen(name, addr string, guard httpdoor.Config, h http.Handler) (lifecycle.Part, net.Addr, error) {
	ln, err := lifecycle.Listen(addr)
	if err != nil {
		return lifecycle.Part{}, nil, err
	}
	s.OnStop(func() { _ = ln.Close() }) // closed already, unless the start failed
	return lifecycle.HTTP(name, ln, guard, s.health.LastAnswers(telemetry.HTTP(s.name)(h))), ln.Addr(), nil
}

// Run opens what every service has, calls open for what is this one's own, and runs all until ctx ends; then it stops
// in order. Kafka and Redis may be missing: what needs them waits, and the service is not ready.
func Run(ctx context.Context, start Start, open func(*Service) error) (err error) {
	s := &Service{name: start.Name, health: lifecycle.NewHealth()}
	defer func() {
		for i := len(s.close) - 1; i >= 0; i-- {
			err = errors.Join(err, s.close[i]())
		}
	}()
	flush, err := telemetry.Start(ctx, start.Name, start.Telemetry)
	if err != nil {
		return err
	}
	s.onStop(func() error {
		within, done := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
		defer done()
		return flush(within)
	})
	if s.Log, err = broker.Open(start.Kafka); err != nil {
		return err
	}
	s.onStop(s.Log.Close)
	if s.Redis, err = start.Redis.Client(); err != nil {
		return err
	}
	s.onStop(s.Redis.Close)
	memory := taskstore.WatchMemory(s.Redis)
	s.AddCheck("redis", memory.Ready)
	if err := open(s); err != nil {
		return err
	}
	s.AddPart(lifecycle.Part{Name: "redis", Run: memory.Run})
	api, addr, err := s.listen("http", start.HTTPAddr, start.Door.Door(), s.handler())
	if err != nil {
		return err
	}
	if start.Listening != nil {
		start.Listening(addr)
	}
	at := 0 // parts stop in reverse order
	if s.API != nil {
		at = len(s.parts)
	}
	parts := append(slices.Insert(s.parts, at, api), s.health.Part(start.Drain))
	return lifecycle.Run(ctx, parts...)
}

// handler is what HTTPAddr serves.
func (s *Service) handler() http.Handler {
	operators := func(r chi.Router) {
		s.health.Routes(r)
		r.Method(http.MethodGet, "/metrics", telemetry.MetricsHandler())
	}
	if s.API != nil {
		return s.API(operators)
	}
	r := httpdoor.NewRouter()
	operators(r)
	return r
}
