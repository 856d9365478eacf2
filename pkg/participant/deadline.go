package participant

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/task"
)

// fireDeadlines delivers the deadlines that have passed, as local events, once the inputs are read up to the ends they
// had after the deadlines passed: after an outage, a waiting answer comes first. That of an order with letters waits
// until they are gone.
func (c *cycle) fireDeadlines(ctx context.Context, now time.Time) {
	var ask []broker.TopicPartition
	var asking []*partition
	for _, t := range c.Tasks() {
		if !t.Lost() && len(t.due) > 0 && len(t.dueSoon) == 0 {
			asking = append(asking, t)
			for _, s := range t.sources {
				ask = append(ask, s.TopicPartition)
			}
		}
	}
	if len(asking) > 0 {
		ctx, cancel := context.WithTimeout(ctx, task.StoreTimeout)
		defer cancel()
		ends, err := c.cfg.Log.Ends(ctx, ask)
		if err != nil {
			return
		}
		for _, t := range asking {
			t.dueSoon, t.due, t.dueEnds = t.due, nil, ends
		}
		c.SeldomNow() // they are inputs too
	}
	for _, t := range c.Tasks() {
		if t.Lost() || len(t.dueSoon) == 0 || !t.readUpTo(t.dueEnds) {
			continue
		}
		if err := c.loadOrders(ctx, []wanted{{t, t.dueSoon}}); err != nil {
			c.notLoaded(err, t)
			continue
		}
		due := t.dueSoon
		t.dueSoon = nil
		for _, id := range due {
			c.deadline(t, t.orders[id], now)
		}
	}
}

// deadline delivers an order's deadline, if it still has one that has passed.
func (c *cycle) deadline(t *partition, o *order, now time.Time) {
	at, ok := o.wakeAt(c.b)
	if !ok || at.After(now) || len(o.Parked) > 0 {
		c.wakeUp(t, o, now)
		return
	}
	o.lane.queue = append(o.lane.queue, localEvent(c.b, t.Number, o, at))
	c.pump(t, o)
}

// wakeUp gives an order what its timer was set for: a try of its letters at once; its deadline when the clock is right
// and the inputs are read.
func (c *cycle) wakeUp(t *partition, o *order, now time.Time) {
	at, ok := o.wakeAt(c.b)
	switch {
	case !ok:
		t.arm(c.b, o)
	case at.After(now): // it was moved, or the clock was put back, since it was taken for passed
		t.timers.Again(o.ID, at)
	case len(o.Parked) > 0:
		c.retry(t, o)
	default:
		t.due = append(t.due, o.ID)
	}
}

// readUpTo says whether every input is read, and in its lane, up to an end.
func (t *partition) readUpTo(ends map[broker.TopicPartition]int64) bool {
	if len(t.loading) > 0 {
		return false
	}
	for _, s := range t.sources {
		if s.Cursor < ends[s.TopicPartition] {
			return false
		}
	}
	return true
}

// localEvent makes the delivery of a deadline.
func localEvent(b *behavior, partition int, o *order, at time.Time) *delivery {
	e := event.Event{ID: deadlineID(o.ID, at), Type: DeadlinePassed, Source: b.name, Subject: o.ID, Time: at.UTC(), TraceParent: o.Trace}
	rec := event.ToRecord(e, deadlineIn, partition)
	return &delivery{ev: e, order: o.ID, rec: &rec, judged: true}
}
