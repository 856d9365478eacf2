package participant

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Participant runs a behaviour on one instance.
type Participant[S any] struct {
	b        *behavior
	cfg      Config
	instance *task.Instance
}

// New returns a participant; it opens nothing.
func New[S any](b Behavior[S], cfg Config) *Participant[S] {
	p := &Participant[S]{b: b.erase(), cfg: cfg.withDefaults()}
	p.instance = task.New(p.b.engine(p.cfg, p.prepare))
	return p
}

func (cfg Config) withDefaults() Config {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&cfg.Retention, 30*24*time.Hour)
	set(&cfg.HoldLimit, 10*time.Minute)
	set(&cfg.LeaveWithin, 5*time.Second)
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 256
	}
	return cfg
}

// engine is how the engine runs a behaviour's tasks.
func (b *behavior) engine(cfg Config, prepare func(context.Context) error) task.Config {
	return task.Config{
		Name: b.name, Log: cfg.Log, Store: taskstore.New(cfg.Redis, b.name), Partitions: cfg.Partitions,
		Inputs: b.topics, Own: []string{b.facts, b.letters}, Seldom: []string{b.requests},
		Version: b.foldVersion, FromCommitted: true, FetchBytes: fetchBytes,
		CommitEvery: 200 * time.Millisecond, LeaveWithin: cfg.LeaveWithin,
		Prepare: prepare, Logger: slog.With("participant", b.name),
		Gauges: []telemetry.Metric{
			telemetry.OutboxEntries, telemetry.OrdersWaiting, telemetry.OrdersParked, telemetry.OrdersDeferred,
		},
	}
}

// Topics are those that bear the participant's name: it provisions them, and only it writes them, except that
// operators write requests to its redrive topic.
func (p *Participant[S]) Topics() []broker.Topic {
	return []broker.Topic{
		{Name: p.b.facts, Partitions: p.cfg.Partitions, Retention: p.cfg.Retention},
		{Name: p.b.letters, Partitions: p.cfg.Partitions, MaxBytes: deadletter.MaxBytes},
		{Name: deadletter.RedriveTopic(p.b.name), Partitions: p.cfg.Partitions, MaxBytes: deadletter.MaxBytes},
		{Name: activity.Topic(p.b.name), Partitions: p.cfg.Partitions, Retention: activity.Kept},
	}
}

// prepare provisions the participant's topics, and finds out whether the facts are where the configured number of
// partitions puts them.
func (p *Participant[S]) prepare(ctx context.Context) error {
	if err := p.cfg.Log.Provision(ctx, p.Topics()); err != nil {
		return err
	}
	facts := slices.DeleteFunc(slices.Clone(p.b.topics), func(topic string) bool { return topic == p.b.requests })
	return event.CheckPlaces(ctx, p.cfg.Log, append(facts, p.b.facts), p.cfg.Partitions)
}

// Run provisions the participant's topics, waits for those it subscribes to, and takes part in its consumer group
// until ctx ends; then it leaves in order: no new work, finish, publish, commit. Outages are waited out. It returns an
// error only for what waiting cannot mend (a topic with the wrong number of partitions), of class Permanent.
func (p *Participant[S]) Run(ctx context.Context) error {
	w := newWatch(p.instance)
	defer w.close()
	if p.cfg.Activity {
		w.teller = newTeller(ctx, p.b.name, p.cfg.Log)
		defer w.teller.close()
	}
	if p.cfg.Clock != nil {
		answered := askRedis(ctx, p.cfg) // before the first deadline
		var watching sync.WaitGroup
		defer watching.Wait()
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		watching.Go(func() { watchClock(ctx, p.cfg, answered) })
	}
	return task.Run(ctx, p.instance, func(e *engine) task.Handler[*partition] { return newHandler(e, p.b, p.cfg, w) })
}

// Ready returns nil when every task of this instance is taken over and none is stopped or mostly waits for something
// unavailable; otherwise it says why not. It does not block.
func (p *Participant[S]) Ready() error { return p.instance.Ready() }
