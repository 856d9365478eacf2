package participant

import (
	"context"
	"errors"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Room implements task.Handler: a task reads on while its lanes, its outbox and its orders keep pace.
func (c *cycle) Room() func(t *partition, input int) bool {
	room := roomOf(c.Tasks())
	return func(t *partition, input int) bool {
		s := t.sources[input]
		switch {
		case len(t.loading) > 0 || t.outbox.Unacked() >= maxWindowEvents || t.mostlyWaiting():
			return false
		case t.stopped != nil && s.Topic != c.b.requests:
			return false
		}
		return !s.full(room) && (c.b.door && s.Topic == c.b.facts || len(s.window) < maxWindowKept)
	}
}

// Receive implements task.Handler.
func (c *cycle) Receive(t *partition, input int, f broker.Fetched) {
	s := t.sources[input]
	if n := len(f.Records); n > 0 {
		c.cfg.Clock.Record(f.Records[n-1].Time)
	}
	deliveries := make([]delivery, len(f.Records))
	for i := range deliveries {
		d := &deliveries[i]
		c.b.deliver(d, s, &f.Records[i])
		if d.bad == nil && s.Topic != c.b.requests {
			d.bad = event.Misplaced(f.Records[i], c.cfg.Partitions)
		}
		s.add(d)
		t.loading = append(t.loading, d)
	}
}

// Skip implements task.Handler.
func (c *cycle) Skip(t *partition, input int, to int64) {
	s := t.sources[input]
	c.watch.log.Error("records are gone that were never read; going on at the log's start", "topic", s.Topic,
		"partition", s.Partition, "offset", s.Cursor, "start", to)
	c.watch.count(offsetsOutOfRange, 1, telemetry.Topic.String(s.Topic))
}

// load brings the orders of what was received into memory and puts each delivery into its lane.
func (c *cycle) load(ctx context.Context) {
	var loading []*partition
	var want []wanted
	for _, t := range c.Tasks() {
		if t.Lost() || len(t.loading) == 0 {
			continue
		}
		loading = append(loading, t)
		w := wanted{t: t}
		for _, d := range t.loading {
			if d.of = t.orders[d.order]; d.of == nil {
				w.ids = append(w.ids, d.order)
			}
		}
		want = append(want, w)
	}
	if len(loading) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, task.StoreTimeout)
	defer cancel()
	if err := c.loadOrders(ctx, want); err != nil {
		if fault.ClassOf(err) != fault.Unavailable || ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.notLoaded(err, loading...)
		}
		return
	}
	for _, t := range loading {
		list := t.loading
		t.loading = nil
		for _, d := range list {
			if d.of == nil {
				d.of = t.orders[d.order]
			}
			d.of.lane.queue = append(d.of.lane.queue, d)
		}
		for _, d := range list {
			c.pump(t, d.of)
		}
	}
}

// notLoaded follows a failed load of orders: the store is away, or holds one that cannot be read, and its task is
// folded anew.
func (c *cycle) notLoaded(err error, tasks ...*partition) {
	if fault.ClassOf(err) == fault.Unavailable {
		c.StoreDown(err)
		return
	}
	for _, t := range tasks {
		if t.unreadable {
			c.Lose(t, "unreadable")
		}
	}
}

// someWaiting is how many lanes may wait in any case.
const someWaiting = 16

// mostlyWaiting says that most lanes of this task wait for something unavailable: fetching more would only fill memory.
func (t *partition) mostlyWaiting() bool {
	if len(t.retries) <= someWaiting {
		return false
	}
	waiting := 0
	for o := range t.retries {
		if o.lane.waiting {
			waiting++
		}
	}
	pending := 0
	for _, s := range t.sources {
		pending += s.pending
	}
	return waiting > someWaiting && 2*waiting > pending
}
