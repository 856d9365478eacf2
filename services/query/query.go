// Package query is the read side: it folds every topic into a read model in Redis, and answers reads from it.
package query

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/query/internal/console"
	"github.com/troupe-dev/troupe/services/query/internal/httpapi"
	"github.com/troupe-dev/troupe/services/query/internal/pulse"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
	"github.com/troupe-dev/troupe/services/query/internal/web"
)

// Name of the service, of its consumer group, and the prefix of its keys.
const Name = readmodel.Name

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

	// The log and the read model
	log, err := broker.Open(cfg.Kafka)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	redis, err := cfg.Redis.Client()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	memory := taskstore.WatchMemory(redis)

	// Projection: the log into the read model
	behavior := Behavior()
	behavior.Stored = observeSettling
	p := projection.New(behavior, projection.Config{
		Log: log, Redis: redis, Partitions: cfg.Partitions, Retention: cfg.Retention,
	})

	// Reads
	feed := projection.NewFeed(redis, Name, cfg.Partitions)
	model := readmodel.New(behavior, feed, redis, cfg.Partitions)
	defer watchOpen(model, cfg.Retention)()
	tail := story.NewTail(log, slices.Concat(readmodel.Topics, story.ActivityTopics()), cfg.Partitions)
	reads, err := httpapi.New(model, log, tail, httpapi.Config{MaxStreams: cfg.MaxStreams, PerClient: cfg.PerClient})
	if err != nil {
		return err
	}

	// Operators
	protocol, err := choreography.Load()
	if err != nil {
		return err
	}
	exceptions := story.NewTail(log, story.ActivityTopics(), cfg.Partitions)
	playground := web.Playground{URL: cfg.ControlURL}
	beat := pulse.New(pulse.Config{
		Log: log, Groups: log, Choreography: protocol, Partitions: cfg.Partitions, Gateway: cfg.GatewayURL, Mailbox: cfg.MailboxURL,
		Stopped: playground.Stopped,
	})
	jobs := console.NewJobs()
	desk, err := console.New(model, log, beat, jobs, cfg.Partitions)
	if err != nil {
		return err
	}
	pages, err := web.New(model, log, desk, web.Config{
		Customers: cfg.HTTPAddr, TraceURL: cfg.TraceURL, Pulse: beat, Choreography: protocol, Activity: exceptions, Playground: playground,
	})
	if err != nil {
		return err
	}

	// HTTP and health
	health := lifecycle.NewHealth()
	health.Check(Name, p.Ready)
	health.Check("redis", memory.Ready)
	customers, err := lifecycle.Listen(cfg.HTTPAddr)
	if err != nil {
		return err
	}
	operators, err := lifecycle.Listen(cfg.ConsoleAddr)
	if err != nil {
		return errors.Join(err, customers.Close())
	}
	if cfg.Listening != nil {
		cfg.Listening(customers.Addr(), operators.Addr())
	}
	handler := reads.Handler(func(r chi.Router) {
		health.Routes(r)
		r.Method("GET", "/metrics", telemetry.MetricsHandler())
	})

	return lifecycle.Run(ctx,
		lifecycle.Part{Name: "projection", Run: p.Run, StopWithin: leaveWithin},
		lifecycle.Part{Name: "redis", Run: memory.Run},
		lifecycle.Part{Name: "changes", Run: feed.Run},
		lifecycle.Part{Name: "tail", Run: tail.Run},
		lifecycle.Part{Name: "exceptions", Run: exceptions.Run},
		lifecycle.Part{Name: "pulse", Run: beat.Run},
		lifecycle.Part{Name: "jobs", Run: jobs.Run},
		lifecycle.HTTP("console", operators, httpdoor.Config{Hosts: cfg.ConsoleHosts, Variable: "CONSOLE_HOSTS"}, telemetry.HTTP(Name)(desk.Handler(pages.Routes))),
		lifecycle.HTTP("http", customers, cfg.Door.Door(), telemetry.HTTP(Name)(handler)),
		health.Part(cfg.Drain),
	)
}

var settling = telemetry.SettleDuration.Histogram()

// observeSettling measures orders when they settle for the first time. What a rebuild folds again is old and not measured.
func observeSettling(before, after Document) {
	at := after.FirstSettled()
	if before.FirstSettled() != 0 || at == 0 || time.Since(at.Time()) > time.Minute {
		return
	}
	settling.Record(context.Background(), at.Time().Sub(after.Order.Placed.Time()).Seconds())
}

// ReadOrder reads an order from the read model that cfg names, as it is; ok is false when it is not there. It is for tools and
// tests that compare it with FoldOrder.
func ReadOrder(ctx context.Context, cfg taskstore.Config, partitions int, id string) (doc Document, ok bool, err error) {
	redis, err := cfg.Client()
	if err != nil {
		return Document{}, false, err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	found, _, err := projection.NewReader(Behavior(), redis).Get(ctx, broker.Partition([]byte(id), partitions), id)
	return found.Doc, found.Version > 0, err
}
