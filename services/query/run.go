package query

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/services/query/internal/httpapi"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// Run runs the service until ctx ends, then stops it in order. Kafka and Redis may be missing: it waits for them, not ready.
func Run(ctx context.Context, cfg Config) error {
	start := service.Start{Name: Name, HTTPAddr: cfg.HTTPAddr, Drain: cfg.Drain, Listening: cfg.Listening, Config: cfg.Config}
	return service.Run(ctx, start, func(s *service.Service) error {
		behavior := Behavior()
		behavior.Stored = observeSettling
		p := projection.New(behavior, projection.Config{
			Log: s.Log, Redis: s.Redis, Partitions: cfg.Partitions, Retention: cfg.Retention,
		})
		feed := projection.NewFeed(s.Redis, Name, cfg.Partitions)
		model := readmodel.New(behavior, feed, s.Redis, cfg.Partitions)
		unwatch := watchOpen(model, cfg.Retention)
		s.OnStop(unwatch)
		tail := story.NewTail(s.Log, slices.Concat(readmodel.Topics, story.ActivityTopics()), cfg.Partitions)
		guard, err := s.Guard(cfg.Auth, cfg.HTTPAddr)
		if err != nil {
			return err
		}
		reads, err := httpapi.New(model, s.Log, tail, httpapi.Config{
			Guard: guard, MaxStreams: cfg.MaxStreams, PerClient: cfg.PerClient,
		})
		if err != nil {
			return err
		}

		// The log is read before anybody is answered.
		s.AddCheck(Name, p.Ready)
		s.AddPart(lifecycle.Part{Name: "projection", Run: p.Run, StopWithin: service.LeaveWithin})
		s.AddPart(lifecycle.Part{Name: "changes", Run: feed.Run})
		s.AddPart(lifecycle.Part{Name: "tail", Run: tail.Run})
		s.API = reads.Handler
		return nil
	})
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
