package participant

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

type fetchResult struct {
	got []broker.Fetched
	err error
}

// requestsEvery is how often requests are looked for while events come: each log has its price in every fetch that asks for it. Where no
// events come, the long poll listens to requests as well.
const requestsEvery = 250 * time.Millisecond

// fetch starts one long poll for all sources that have room.
func (c *cycle) fetch(ctx context.Context) {
	if c.fetching || c.leaving {
		return
	}
	clear(c.asked)
	c.positions = c.positions[:0]
	open := slices.DeleteFunc(slices.Clone(c.tasks), func(t *task) bool {
		return t.dead || len(t.loading) > 0 || t.unacked() >= maxWindowEvents || t.mostlyWaiting()
	})
	room, now := c.room(), time.Now()
	for i, topic := range c.b.topics {
		if topic != c.b.requests {
			c.askFor(open, i, room)
		}
	}
	if len(c.positions) == 0 || now.Sub(c.requestsAt) >= requestsEvery {
		c.askFor(open, slices.Index(c.b.topics, c.b.requests), room)
		c.requestsAt = now
	}
	ps := c.positions
	if len(ps) == 0 {
		return
	}
	c.fetching = true
	c.work.Go(func() {
		polled := telemetry.Poll(ctx, c.b.name)
		got, err := c.cfg.Log.Fetch(ctx, ps)
		polled(got, err)
		c.fetched <- fetchResult{got: got, err: err}
	})
}

// askFor makes the logs of a topic part of the next fetch, where they have room.
func (c *cycle) askFor(tasks []*task, topic, room int) {
	for _, t := range tasks {
		s := t.sources[topic]
		if t.stopped != nil && s.Topic != c.b.requests {
			continue
		}
		if !s.full(room) && (c.b.door && s.Topic == c.b.facts || len(s.window) < maxWindowKept) {
			c.asked[s.TopicPartition] = s
			c.positions = append(c.positions, broker.Position{TopicPartition: s.TopicPartition, Offset: s.cursor, MaxBytes: fetchBytes})
		}
	}
}

// receive takes in what a fetch brought.
func (c *cycle) receive(f fetchResult) {
	c.fetching = false
	if f.err != nil {
		return // the client says it in one line, and waits before it answers again
	}
	for _, g := range f.got {
		s := c.asked[g.TopicPartition]
		t := c.task(g.Partition)
		if t == nil || t.dead || t.source(g.Topic) != s {
			continue // of a task that was lost since
		}
		t.moving = t.moving || s.cursor != g.Next
		if errors.Is(g.Err, broker.ErrOutOfRange) {
			c.outOfRange(t, s, g)
			continue
		}
		if g.Err != nil {
			c.cannotRead(s, g.Err)
			continue
		}
		s.denied = nil
		if n := len(g.Records); n > 0 {
			c.cfg.Clock.Record(g.Records[n-1].Time)
		}
		deliveries := make([]delivery, len(g.Records))
		for i := range deliveries {
			d := &deliveries[i]
			c.b.deliver(d, s, &g.Records[i])
			if d.bad == nil && s.Topic != c.b.requests {
				d.bad = event.Misplaced(g.Records[i], c.cfg.Partitions)
			}
			s.add(d)
			t.loading = append(t.loading, d)
		}
		s.cursor, s.end, s.toldAt = g.Next, g.End, time.Now()
		if s.Topic == c.b.requests && s.cursor < s.end {
			c.requestsAt = time.Time{} // there are more
		}
	}
}

// cannotRead says aloud what waiting will not mend (a topic that this service may not read). An outage the client says itself.
func (c *cycle) cannotRead(s *source, err error) {
	if fault.ClassOf(err) == fault.Permanent && s.denied == nil {
		s.denied = err
		c.watch.log.Error("a topic cannot be read", "topic", s.Topic, "partition", s.Partition, "error", err)
	}
}

// outOfRange goes on at the log's start when what lay before it is gone by retention. A log that ends before what was read of it is
// another one, or lost records: a leader tells no end before it knows it (KIP-207).
func (c *cycle) outOfRange(t *task, s *source, g broker.Fetched) {
	if s.cursor > g.End {
		c.watch.shorter(s.TopicPartition, s.cursor, g.End)
		c.lose(t, lostReplaced)
		return
	}
	c.watch.log.Error("records are gone that were never read; going on at the log's start", "topic", s.Topic,
		"partition", s.Partition, "offset", s.cursor, "start", g.Start)
	c.watch.count(offsetsOutOfRange, 1, telemetry.Topic.String(s.Topic))
	s.cursor = g.Start
}

// load brings the orders of what was received into memory and puts each delivery into its lane.
func (c *cycle) load(ctx context.Context) {
	var loading []*task
	var want []wanted
	for _, t := range c.tasks {
		if t.dead || len(t.loading) == 0 {
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
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
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

// notLoaded follows a failed load of orders: the store is away, or holds one that cannot be read, and its task is folded anew.
func (c *cycle) notLoaded(err error, tasks ...*task) {
	if fault.ClassOf(err) == fault.Unavailable {
		c.storeDown(err)
		return
	}
	for _, t := range tasks {
		if c.anew[t.partition] {
			c.lose(t, "unreadable")
		}
	}
}

// unacked is how many outbox entries wait for the broker.
func (t *task) unacked() int {
	n := 0
	for _, e := range t.since(t.acked) {
		if !e.acked {
			n++
		}
	}
	return n
}

// someWaiting is how many lanes may wait in any case.
const someWaiting = 16

// mostlyWaiting says that most lanes of this task wait for something unavailable: fetching more would only fill memory.
func (t *task) mostlyWaiting() bool {
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
