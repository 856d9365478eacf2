package task

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// Instance is one member of the consumer group: what the engines of its generations have in common.
type Instance struct {
	Config
	status  status
	noStore atomic.Pointer[string] // why the store did not answer last; nil: it did
	gauges  gauges
}

// New returns an instance; it opens nothing.
func New(cfg Config) *Instance { return &Instance{Config: cfg} }

// Ready returns nil when every task of this instance is taken over and nothing keeps it from its work; otherwise it
// says why not. It does not block.
func (i *Instance) Ready() error { return i.status.ready() }

// tryAgainWithin bounds the pause between two tries of what a start needs.
const tryAgainWithin = 2 * time.Second

// Run waits for the topics and takes part in the consumer group until ctx ends. It calls begin for each generation, and
// serves that with the handler that begin returns; then it leaves in order: no new work, finish, publish, commit.
// Outages are waited out. It returns an error only for what waiting cannot mend, of class Permanent.
func Run[T Task](ctx context.Context, i *Instance, begin func(*Engine[T]) Handler[T]) error {
	defer i.gauges.open(telemetry.Participant.String(i.Name), i.Partitions, i.Gauges)()
	if err := i.prepare(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	return i.Log.Join(ctx, i.Name, i.Inputs, i.Partitions, func(ctx context.Context, g broker.Generation) error {
		e := NewEngine(ctx, i, g, begin)
		return e.Serve(ctx, e.assigned())
	})
}

// NewEngine returns the engine of one generation, which owns nothing yet. What begin starts beside it ends with
// Context. Serve must be called.
func NewEngine[T Task](ctx context.Context, i *Instance, g broker.Generation, begin func(*Engine[T]) Handler[T]) *Engine[T] {
	e := &Engine[T]{
		Instance: i, gen: g, inbox: make(chan func()), asks: make(chan func()), awake: make(chan struct{}, 1),
		ended: make(chan struct{}), asked: map[broker.TopicPartition]*Input{}, refold: map[int]bool{},
		stored: map[broker.TopicPartition]int64{},
	}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.h = begin(e)
	return e
}

// prepare makes or checks the topics, until there is no use in trying.
func (i *Instance) prepare(ctx context.Context) error {
	for tries := 1; ; tries++ {
		err := i.Prepare(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			i.status.out()
			return nil
		case fault.ClassOf(err) == fault.Permanent:
			return err
		}
		if tries == 1 {
			i.Logger.Warn("waiting for topics", "error", fault.FirstLine(err.Error()))
		}
		i.status.set(false, "waiting for topics: "+fault.FirstLine(err.Error()))
		if wait.Sleep(ctx, min(wait.Backoff(tries), tryAgainWithin)) != nil {
			return nil
		}
	}
}
