// Package query is the read side: it folds every topic into a read model in Redis, and answers reads from it.
package query

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/service"
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

// Run runs the service until ctx ends, then stops it in order. Kafka and Redis may be missing: it waits for them, not ready.
func Run(ctx context.Context, cfg Config) error {
	var operators net.Addr
	start := service.Start{Name: Name, HTTPAddr: cfg.HTTPAddr, Drain: cfg.Drain, Config: cfg.Config}
	start.Listening = func(customers net.Addr) {
		if cfg.Listening != nil {
			cfg.Listening(customers, operators)
		}
	}
	return service.Run(ctx, start, func(s *service.Service) (err error) {
		operators, err = open(s, cfg)
		return err
	})
}

// open makes the service's own parts, and returns where operators ask.
func open(s *service.Service, cfg Config) (operators net.Addr, err error) {
	// Projection: the log into the read model
	behavior := Behavior()
	behavior.Stored = observeSettling
	p := projection.New(behavior, projection.Config{
		Log: s.Log, Redis: s.Redis, Partitions: cfg.Partitions, Retention: cfg.Retention,
	})

	// Reads
	feed := projection.NewFeed(s.Redis, Name, cfg.Partitions)
	model := readmodel.New(behavior, feed, s.Redis, cfg.Partitions)
	unwatch := watchOpen(model, cfg.Retention)
	s.OnStop(func() error { unwatch(); return nil })
	tail := story.NewTail(s.Log, slices.Concat(readmodel.Topics, story.ActivityTopics()), cfg.Partitions)
	guard, err := s.Guard(cfg.Auth, cfg.HTTPAddr)
	if err != nil {
		return nil, err
	}
	ofOperators, err := s.Guard(cfg.consoleAuth(), cfg.ConsoleAddr)
	if err != nil {
		return nil, err
	}
	reads, err := httpapi.New(model, s.Log, tail, httpapi.Config{
		Guard: guard, MaxStreams: cfg.MaxStreams, PerClient: cfg.PerClient,
	})
	if err != nil {
		return nil, err
	}

	// Operators
	protocol, err := choreography.Load()
	if err != nil {
		return nil, err
	}
	exceptions := story.NewTail(s.Log, story.ActivityTopics(), cfg.Partitions)
	playground := web.Playground{URL: cfg.ControlURL}
	beat := pulse.New(pulse.Config{
		Log: s.Log, Groups: s.Log, Choreography: protocol, Partitions: cfg.Partitions, Gateway: cfg.GatewayURL, Mailbox: cfg.MailboxURL,
		Stopped: playground.Stopped,
	})
	jobs := console.NewJobs()
	desk, err := console.New(model, s.Log, beat, jobs, cfg.Partitions)
	if err != nil {
		return nil, err
	}
	pages, err := web.New(model, s.Log, desk, web.Config{
		Customers: cfg.HTTPAddr, TraceURL: cfg.TraceURL, Pulse: beat, Choreography: protocol, Activity: exceptions, Playground: playground,
	})
	if err != nil {
		return nil, err
	}

	// Parts: the log is read before anybody is answered
	s.AddCheck(Name, p.Ready)
	s.AddPart(lifecycle.Part{Name: "projection", Run: p.Run, StopWithin: service.LeaveWithin})
	s.AddPart(lifecycle.Part{Name: "changes", Run: feed.Run})
	s.AddPart(lifecycle.Part{Name: "tail", Run: tail.Run})
	s.AddPart(lifecycle.Part{Name: "exceptions", Run: exceptions.Run})
	s.AddPart(lifecycle.Part{Name: "pulse", Run: beat.Run})
	s.AddPart(lifecycle.Part{Name: "jobs", Run: jobs.Run})
	s.API = reads.Handler
	names := httpdoor.Config{Hosts: cfg.ConsoleHosts, Variable: "CONSOLE_HOSTS"}
	return s.HTTP("console", cfg.ConsoleAddr, names, desk.Handler(ofOperators, pages.Routes))
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
