package participant

import (
	"context"
	"errors"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
)

// roomOf is how many events one of an instance's sources may hold: its share, or more while the others leave theirs.
func roomOf(tasks []*partition) int {
	pending, bytes, sources := 0, 0, 0
	for _, t := range tasks {
		sources += len(t.sources)
		for _, s := range t.sources {
			pending += s.pending
			bytes += s.bytes
		}
	}
	if bytes >= maxBytes {
		return 1
	}
	if pending < maxEvents/2 {
		return maxWindowEvents
	}
	return min(maxWindowEvents, max(minWindowEvents, maxEvents/max(1, sources)))
}

// hasRoom says whether a source may be part of the next fetch: a task reads on while its queues, its outbox and its
// orders keep pace.
func hasRoom(t *partition, s *source, room int) bool {
	b := t.c.b
	switch {
	case len(t.loading) > 0 || t.outbox.Unacked() >= maxWindowEvents || t.mostlyWaiting():
		return false
	case t.stopped != nil && s.Topic != b.requests:
		return false
	}
	return !s.full(room) && (b.admits && s.Topic == b.facts || len(s.window) < maxWindowKept)
}

// receive takes in what a fetch brought of an input.
func receive(t *partition, s *source, f broker.Fetched) {
	cfg := &t.c.cfg
	if n := len(f.Records); n > 0 {
		cfg.Clock.Record(f.Records[n-1].Time)
	}
	deliveries := make([]delivery, len(f.Records))
	for i := range deliveries {
		d := &deliveries[i]
		d.read(s.Input, &f.Records[i], t.c.b.requests)
		if d.bad == nil && s.Topic != t.c.b.requests {
			d.bad = event.Misplaced(f.Records[i], cfg.Partitions)
		}
		s.add(d)
		t.loading = append(t.loading, d)
	}
}

// load brings the orders of what was received into memory and puts each delivery into its queue.
func (c *cycle) load(ctx context.Context) {
	var loading []*partition
	var want []wanted
	for t := range c.Alive() {
		if len(t.loading) == 0 {
			continue
		}
		loading = append(loading, t)
		w := wanted{t: t}
		for _, d := range t.loading {
			w.ids = append(w.ids, d.order)
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
		for _, d := range t.loading {
			o := t.orders[d.order]
			o.queue.list = append(o.queue.list, d)
			t.resume(o)
		}
		t.loading = nil
	}
}
