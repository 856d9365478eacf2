package projection

import (
	"context"
	"log/slog"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Projection runs a behaviour on one instance.
type Projection[D any] struct {
	*model[D]
	live *copies
}

// New returns a projection; it opens nothing.
func New[D any](b Behavior[D], cfg Config) *Projection[D] {
	cfg = cfg.withDefaults()
	m := &model[D]{b: b, topics: b.topics(), cfg: cfg, base: taskstore.New(cfg.Redis, b.Name)}
	return &Projection[D]{model: m, live: m.copies(false, slog.With("projection", b.Name))}
}

// Run waits for the topics and takes part in the consumer group until ctx ends; then it finishes the step under
// way, commits and leaves. Outages are waited out. It returns an error only for what waiting cannot mend (a topic
// with the wrong number of partitions), of class Permanent.
func (p *Projection[D]) Run(ctx context.Context) error {
	return task.Run(ctx, p.live.Instance, func(e *engine[D]) task.Handler[*partition[D]] {
		c := newCycle(p.model, p.live, e)
		e.Go(func() { rebuildCopies(e.Context(), c) })
		return c
	})
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
