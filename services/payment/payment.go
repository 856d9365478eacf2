// Package payment is the participant that charges customers and gives charges back, through a gateway that speaks Stripe's
// API. It hears orders placed and cancelled, and answers with payments succeeded, declined and refunded.
package payment

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
	"github.com/troupe-dev/troupe/services/payment/internal/gateway"
)

// Name of the participant.
const Name = "payment"

const (
	flushWithin = 5 * time.Second
	leaveWithin = 20 * time.Second
)

// Behavior is what payment does. keyMemory is the age of an event from which on the gateway may have forgotten the
// idempotency keys made from it; undecidedFor the age from which on a person must look at what the gateway has not
// decided.
func Behavior(g Gateway, keyMemory, undecidedFor time.Duration) participant.Behavior[domain.Payment] {
	return participant.Behavior[domain.Payment]{
		Name:        Name,
		FoldVersion: 1,
		Hears: []participant.Hears{{
			Topic: participant.FactsTopic("order"),
			Types: []string{event.TypeOf(&orderv1.OrderPlaced{}), event.TypeOf(&orderv1.OrderCancelled{})},
		}},
		React:  reactor{gateway: g, keyMemory: keyMemory, undecidedFor: undecidedFor}.react,
		Evolve: evolve,
	}
}

// Run runs the service until ctx ends, then stops it in order. Kafka, Redis and the gateway may be missing: it waits for them.
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

	// Doors
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
	stripe, hangUp := OpenGateway(cfg, now)
	defer hangUp()

	// Participant
	p := participant.New(Behavior(stripe, cfg.KeyMemory, cfg.UndecidedFor), participant.Config{
		Log: log, Redis: redis, Partitions: cfg.Partitions, Retention: cfg.Retention, Activity: cfg.Activity, Concurrency: cfg.Concurrency,
		Clock: now,
	})

	// Health
	health := lifecycle.NewHealth()
	health.Check(Name, p.Ready)
	health.Check("redis", memory.Ready)
	health.Check("gateway", stripe.Ready)
	ln, err := lifecycle.Listen(cfg.HTTPAddr)
	if err != nil {
		return err
	}
	if cfg.Listening != nil {
		cfg.Listening(ln.Addr())
	}

	return lifecycle.Run(ctx,
		lifecycle.HTTP("http", ln, cfg.Door.Door(), telemetry.HTTP(Name)(routes(health))),
		lifecycle.Part{Name: "participant", Run: p.Run, StopWithin: leaveWithin},
		lifecycle.Part{Name: "redis", Run: memory.Run},
		health.Part(0),
	)
}

// OpenGateway returns the gateway that cfg names, and what closes the connections it keeps. The clock hears the
// gateway's; nil: it is believed.
func OpenGateway(cfg Config, now *clock.Clock) (g *gateway.Stripe, hangUp func()) {
	stripe := gateway.Open(gateway.Config{
		URL: strings.TrimRight(cfg.GatewayURL, "/"), Key: cfg.GatewayKey, Timeout: cfg.GatewayTimeout, Connections: cfg.Concurrency,
		Clock: now,
	})
	return stripe, stripe.Close
}

func routes(health *lifecycle.Health) chi.Router {
	r := httpdoor.NewRouter()
	health.Routes(r)
	r.Method(http.MethodGet, "/metrics", telemetry.MetricsHandler())
	return r
}
