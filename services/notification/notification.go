// Package notification is the participant that tells customers by mail what became of their order. It hears orders confirmed
// and cancelled, and payments refunded, and answers with the fact that the mail was sent, or that its recipient was refused.
package notification

import (
	"context"
	"errors"
	"net/http"
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
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"github.com/troupe-dev/troupe/services/notification/internal/mail"
)

// Name of the participant.
const Name = "notification"

const (
	flushWithin = 5 * time.Second
	leaveWithin = 20 * time.Second
)

// Behavior is what notification does, with m as its door to the mail server. A mail that the server puts off is given
// up once its event is as old as giveUpAfter.
func Behavior(m Mailer, giveUpAfter time.Duration) participant.Behavior[domain.Notices] {
	return participant.Behavior[domain.Notices]{
		Name:        Name,
		FoldVersion: 1,
		Hears: []participant.Hears{
			{Topic: participant.FactsTopic("order"), Types: []string{
				event.TypeOf(&orderv1.OrderConfirmed{}), event.TypeOf(&orderv1.OrderCancelled{}),
			}},
			{Topic: participant.FactsTopic("payment"), Types: []string{event.TypeOf(&paymentv1.PaymentRefunded{})}},
		},
		React:  reactor{mailer: m, giveUpAfter: giveUpAfter}.react,
		Evolve: evolve,
	}
}

// Run runs the service until ctx ends, then stops it in order. Kafka, Redis and the mail server may be missing: it waits for them.
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
	mailer, err := mail.New(cfg.Mail)
	if err != nil {
		return err
	}
	defer mailer.Close()

	// Participant
	p := participant.New(Behavior(mailer, cfg.GiveUpAfter), participant.Config{
		Log: log, Redis: redis, Partitions: cfg.Partitions, Retention: cfg.Retention, Activity: cfg.Activity, Concurrency: cfg.Concurrency,
		Clock: now,
	})

	// Health
	health := lifecycle.NewHealth()
	health.Check(Name, p.Ready)
	health.Check("redis", memory.Ready)
	health.Check("mail", mailer.Ready)
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

func routes(health *lifecycle.Health) chi.Router {
	r := httpdoor.NewRouter()
	health.Routes(r)
	r.Method(http.MethodGet, "/metrics", telemetry.MetricsHandler())
	return r
}
