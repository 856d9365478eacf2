// Package order is the participant that takes orders over HTTP and decides what becomes of them. It hears the requests of its
// own door and the payments succeeded and declined, and answers with orders confirmed and cancelled.
package order

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"github.com/troupe-dev/troupe/services/order/internal/httpapi"
)

// Name of the participant.
const Name = "order"

const (
	flushWithin = 5 * time.Second
	leaveWithin = 20 * time.Second
)

// Run runs the service until ctx ends, then stops it in order. Kafka and Redis may be missing: it waits for them, not ready.
func Run(ctx context.Context, cfg Config) (err error) {
	// Telemetry
	flush, err := telemetry.Start(ctx, Name, cfg.Telemetry)
	if err != nil {
		return err
	}
	defer func() {
		within, done := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
		defer done()
		err = errors.Join(err, flush(within))
	}()

	// The log and its fold
	log, err := broker.Open(cfg.Kafka)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	now, forget := clock.New(cfg.Clock)
	defer forget()
	redis, err := cfg.Redis.Client()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	memory := taskstore.WatchMemory(redis)

	// Participant and its door
	behavior := Behavior()
	part := participant.Config{
		Log: log, Redis: redis, Partitions: cfg.Partitions, Retention: cfg.Retention, Activity: cfg.Activity, Concurrency: cfg.Concurrency,
		Clock: now,
	}
	p := participant.New(behavior, part)
	door := admission.New(behavior, part)
	orders, err := httpapi.New(door, httpapi.Config{
		Participant:  Name,
		Terms:        domain.Terms{Currencies: cfg.Currencies, PaymentWithin: cfg.PaymentDeadline},
		CancelWindow: cfg.CancelWindow,
		FindWithin:   cfg.FindWithin,
		QueryURL:     cfg.QueryURL,
		Clock:        now,
	})
	if err != nil {
		return err
	}

	// HTTP and health
	health := lifecycle.NewHealth()
	health.Check(Name, p.Ready)
	health.Check("redis", memory.Ready)
	health.Check("door", door.Ready)
	ln, err := lifecycle.Listen(cfg.HTTPAddr)
	if err != nil {
		return err
	}
	if cfg.Listening != nil {
		cfg.Listening(ln.Addr())
	}
	handler := orders.Handler(func(r chi.Router) {
		health.Routes(r)
		r.Method(http.MethodGet, "/metrics", telemetry.MetricsHandler())
	})

	return lifecycle.Run(ctx,
		lifecycle.Part{Name: "participant", Run: p.Run, StopWithin: leaveWithin},
		lifecycle.Part{Name: "redis", Run: memory.Run},
		lifecycle.HTTP("http", ln, cfg.Door.Door(), telemetry.HTTP(Name)(handler)),
		health.Part(cfg.Drain),
	)
}
