package projection

import (
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Projection runs a behaviour on one instance.
type Projection[D any] struct {
	b         Behavior[D]
	topics    []string // that it reads
	cfg       Config
	base      *taskstore.Store // of the keys that are of no copy
	watch     *watch
	lookEvery time.Duration // how often requests for a rebuild are looked for; 0: the default
	live      *copies
}

// copies are an instance of the engine that folds one copy of each of its partitions: the live ones, or their shadows.
type copies struct {
	*task.Instance
	names  []string // by partition; the engine's goroutine sets them before a claim
	shadow bool     // no reader, and nobody's readiness, depends on it
}

// New returns a projection; it opens nothing.
func New[D any](b Behavior[D], cfg Config) *Projection[D] {
	cfg = cfg.withDefaults()
	p := &Projection[D]{
		b: b, topics: b.topics(), cfg: cfg, base: taskstore.New(cfg.Redis, b.Name), watch: newWatch(b.Name),
	}
	p.live = p.copies(false, slog.With("projection", b.Name))
	return p
}

// leaveWithin bounds how long leaving takes: the step under way, and the last commit.
const leaveWithin = 3 * time.Second

func (p *Projection[D]) copies(shadow bool, log *slog.Logger) *copies {
	names := make([]string, p.cfg.Partitions)
	return &copies{names: names, shadow: shadow, Instance: task.New(task.Config{
		Name: p.b.Name, Log: p.cfg.Log, Store: p.base.Copies(names), Partitions: p.cfg.Partitions,
		Inputs: p.topics, Seldom: p.b.Notes, Version: p.b.version(), FetchBytes: fetchBytes,
		CommitEvery: p.cfg.CommitEvery, LeaveWithin: leaveWithin, Prepare: p.prepare, Logger: log,
	})}
}

// Run waits for the topics and takes part in the consumer group until ctx ends; then it finishes the step under
// way, commits and leaves. Outages are waited out. It returns an error only for what waiting cannot mend (a topic
// with the wrong number of partitions), of class Permanent.
func (p *Projection[D]) Run(ctx context.Context) error {
	return task.Run(ctx, p.live.Instance, func(e *engine[D]) task.Handler[*partition[D]] {
		c := newCycle(p, p.live, e)
		e.Go(func() { c.rebuild(e.Context()) })
		return c
	})
}

// prepare checks the topics, and finds out whether the facts are where the configured number of partitions puts them.
func (p *Projection[D]) prepare(ctx context.Context) error {
	var topics []broker.Topic
	for i, t := range p.topics {
		topic := broker.Topic{Name: t, Partitions: p.cfg.Partitions, Retention: p.cfg.Retention}
		if p.b.isNote(i) {
			topic.Retention = 0 // kept for ever
		}
		topics = append(topics, topic)
	}
	if err := p.cfg.Log.Check(ctx, topics); err != nil {
		return err
	}
	return event.CheckPlaces(ctx, p.cfg.Log, p.b.Topics, p.cfg.Partitions)
}

// Ready returns nil when this instance is in its group, owns every partition assigned to it and reaches Kafka and
// Redis; otherwise it says why not. A read model that is still being rebuilt is ready: what is known is answered.
// It does not block.
func (p *Projection[D]) Ready() error {
	if err := p.live.Ready(); err != nil {
		return fault.New(fault.Unavailable, "projection %s: %w", p.b.Name, err)
	}
	return nil
}
