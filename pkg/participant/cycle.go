package participant

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/workers"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// engine is the part of a participant that owns partitions, reads their inputs and writes their changes.
type engine = task.Engine[*partition]

// cycle is what a participant does with the partitions of one generation: check, react, decide, publish. The engine's
// goroutine owns all of it; React calls, produces and reading back run beside it.
type cycle struct {
	*engine
	b    *behavior
	cfg  Config
	pool *workers.Pool[job, result] // React calls

	readings  []*reading // of chains, under way or to begin
	retryFrom int        // the partition whose retries come first
	inFlight  int        // produce requests
	packed    []byte     // memory for what the next change writes,
	ends      []int      // and for where each order's text ends there
	watch     *watch
}

var _ task.Handler[*partition] = (*cycle)(nil)

func newCycle(e *engine, b *behavior, cfg Config, w *watch) *cycle {
	c := &cycle{engine: e, b: b, cfg: cfg, watch: w}
	c.pool = workers.New(cfg.Concurrency, c.Go, c.Wake, c.react)
	return c
}

// Usable implements task.Handler: what another version folded is folded again.
func (c *cycle) Usable(_ *partition, version string) bool { return version == c.b.foldVersion }

// Work implements task.Handler.
func (c *cycle) Work(ctx context.Context) {
	for _, r := range c.pool.Results() {
		c.take(r)
	}
	if c.Leaving() {
		return
	}
	c.load(ctx)
	c.wake(ctx)
	c.readChains()
}

// wake lets lanes go on whose back-off is over, parks what was held too long, and fires deadlines and retries.
func (c *cycle) wake(ctx context.Context) {
	now := time.Now()
	for _, t := range c.Tasks() {
		if t.Lost() {
			continue
		}
		for o, at := range t.retries {
			if !at.After(now) {
				delete(t.retries, o)
				o.lane.retryAt = time.Time{}
				c.pump(t, o)
			}
		}
		for d, o := range t.holds {
			if now.Sub(d.heldAt) >= c.cfg.HoldLimit && !o.lane.busy() {
				c.park(t, o, d, fault.New(fault.NotYet, "the cause never came: %w", d.failed))
				c.pump(t, o)
			}
		}
		for {
			id, ok := t.timers.Pop(now)
			if !ok {
				break
			}
			if _, parked := t.parked[id]; parked {
				t.retryDue = append(t.retryDue, id)
			} else {
				t.due = append(t.due, id)
			}
		}
	}
	if c.cfg.Clock.Err() == nil {
		c.fireDeadlines(ctx, now)
	}
	c.startRetries(ctx)
}

// Next implements task.Handler.
func (c *cycle) Next(now time.Time) (next time.Time) {
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, t := range c.Tasks() {
		if t.Lost() {
			continue
		}
		if len(t.loading)+len(t.due)+len(t.dueSoon)+len(t.retryDue) > 0 {
			sooner(now.Add(wait.BackoffMin))
		}
		for _, at := range t.retries {
			sooner(at)
		}
		if at, ok := t.timers.Next(); ok {
			sooner(at)
		}
		for _, l := range t.own {
			if l.tries > 0 && !l.busy {
				sooner(l.retryAt)
			}
		}
	}
	return next
}

// Quiet implements task.Handler: nothing is running, nothing waits to be applied or published.
func (c *cycle) Quiet() bool {
	if c.inFlight > 0 {
		return false
	}
	for _, t := range c.Tasks() {
		if !t.Lost() && t.running+len(t.ready)+len(t.touched)+t.outbox.Unacked() > 0 {
			return false
		}
	}
	return true
}

// Released implements task.Handler: a produce in flight could still be taken for another writer's.
func (c *cycle) Released(t *partition) bool { return t.inFlight == 0 }

// Unready implements task.Handler.
func (c *cycle) Unready(t *partition) (why []string) {
	switch {
	case t.stopped != nil:
		why = append(why, " is stopped: too many dead letters")
	case t.mostlyWaiting():
		why = append(why, ": most orders wait for something unavailable")
	}
	for _, l := range t.own {
		if l.refused != nil {
			why = append(why, ": "+l.Topic+" does not take what is published: "+fault.FirstLine(l.refused.Error()))
		}
	}
	for _, s := range t.sources {
		if s.Err != nil && fault.ClassOf(s.Err) == fault.Permanent {
			why = append(why, ": "+fault.FirstLine(s.Err.Error()))
		}
	}
	return why
}

// Unwell implements task.Handler.
func (c *cycle) Unwell() (why []string) {
	c.watch.tell()
	if err := c.cfg.Clock.Err(); err != nil {
		why = append(why, err.Error())
	}
	return why
}

// Lag implements task.Handler.
func (c *cycle) Lag(t *partition, input int) (records int, oldest, watermark time.Time) {
	s := t.sources[input]
	if len(s.window) > 0 {
		watermark = s.window[0].time
	}
	for _, at := range s.window {
		if at.d != nil {
			oldest = at.time
			break
		}
	}
	return s.pending, oldest, watermark
}

// Measure implements task.Handler.
func (c *cycle) Measure(add func(m telemetry.Metric, n float64)) {
	for _, t := range c.Tasks() {
		if t.Lost() {
			continue
		}
		add(telemetry.OutboxEntries, float64(t.outbox.Len()))
		add(telemetry.OrdersParked, float64(t.forPerson))
		add(telemetry.OrdersDeferred, float64(len(t.parked)-t.forPerson))
		for o := range t.retries {
			if o.lane.waiting {
				add(telemetry.LanesWaiting, 1)
			}
		}
	}
}
