package participant

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
)

// An event that is deferred (fault.Deferred: a refund under way, a mailbox that is full) concerns its order alone. It
// is parked at once, so that it costs neither a place in memory nor the partition's position, and its dead letter says
// when the participant itself redrives the chain: an order's time of retry is a timer like its deadline, and the dead
// letters in the log bring it back after a wipe.

// maxRetrying is how many orders of an instance are retried at once: however many are deferred, and however long what
// they ask takes, most calls of React and most connections are left to what is new.
const maxRetrying = 8

// wake lets orders go on whose back-off is over, parks what was held too long, and fires deadlines and retries.
func (c *cycle) wake(ctx context.Context) {
	now := time.Now()
	for t := range c.Alive() {
		for o, at := range t.resting {
			if !at.After(now) {
				goOn(t, o)
			}
		}
		for d, o := range t.holds {
			if now.Sub(d.since) >= c.cfg.HoldLimit && !o.queue.busy() && !o.queue.waiting && readPast(t, d) {
				park(t, o, d, fault.New(fault.NotYet, "the cause never came: %w", d.failed))
				t.resume(o)
			}
		}
		for id, ok := t.timers.Pop(now); ok; id, ok = t.timers.Pop(now) {
			if _, parked := t.parked[id]; parked {
				t.retryDue = append(t.retryDue, id)
			} else {
				t.due = append(t.due, id)
			}
		}
	}
	if !slices.ContainsFunc(c.Tasks(), hasDue) {
		return
	}
	if c.cfg.Clock.Err() == nil {
		c.askForEnds(ctx, now)
		c.fireDeadlines(ctx, now)
	}
	c.startRetries(ctx, now)
}

// hasDue says whether a deadline has passed, or a time of retry has come.
func hasDue(t *partition) bool { return len(t.due)+len(t.dueSoon)+len(t.retryDue) > 0 }

// readPast says whether all other inputs are applied up to the time of an event, as is its cause if there is one: after
// an outage the input that the cause is in may be far behind.
func readPast(t *partition, d *delivery) bool {
	for _, s := range t.sources {
		_, oldest, _ := s.lag()
		behind := s.Cursor < s.End
		if !oldest.IsZero() {
			behind = oldest.Before(d.rec.Time)
		}
		if s.Input != d.in && s.Topic != t.c.b.requests && (behind || s.Err != nil) {
			return false
		}
	}
	return true
}

// fireDeadlines delivers the deadlines that have passed, as local events, once the inputs are read up to the ends they
// had after the deadlines passed: after an outage, a waiting answer comes first.
func (c *cycle) fireDeadlines(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, task.StoreTimeout)
	defer cancel()
	for t := range c.Alive() {
		if t.dueEnds == nil || !readUpTo(t, t.dueEnds) {
			continue
		}
		if err := c.loadOrders(ctx, []wanted{{t, t.dueSoon}}); err != nil {
			c.notLoaded(err, t)
			continue
		}
		due := t.dueSoon
		t.dueSoon, t.dueEnds = nil, nil
		for _, id := range due {
			o := t.orders[id]
			at, ok := o.wakeAt(c.b)
			if !ok || at.After(now) || len(o.Parked) > 0 {
				t.wakeUp(o, now)
				continue
			}
			o.queue.list = append(o.queue.list, deadlineOf(c.b, t.Number, o, at))
			t.resume(o)
		}
	}
}

// endsAgain is when it is asked again where inputs end of which a log did not answer.
const endsAgain = time.Second

// askForEnds asks where the inputs end that deadlines wait for, beside the engine and for each partition apart: a log
// without a leader keeps up the deadlines of its own only.
func (c *cycle) askForEnds(ctx context.Context, now time.Time) {
	for t := range c.Alive() {
		if len(t.due)+len(t.dueSoon) == 0 || t.dueEnds != nil || t.asking || now.Before(t.endsAt) {
			continue
		}
		t.dueSoon, t.due, t.asking = append(t.dueSoon, t.due...), nil, true
		var logs []broker.TopicPartition
		for _, s := range t.sources {
			logs = append(logs, s.TopicPartition)
		}
		c.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, task.StoreTimeout)
			defer cancel()
			ends, err := c.cfg.Log.Ends(ctx, logs)
			c.Post(func() {
				t.asking = false
				if err != nil {
					t.endsAt = time.Now().Add(endsAgain)
					return
				}
				t.dueEnds = ends
				c.SeldomNow() // they are inputs too
			})
		})
	}
}

// readUpTo says whether every input is read, and in its queue, up to an end.
func readUpTo(t *partition, ends map[broker.TopicPartition]int64) bool {
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

// startRetries begins the retries that are due, while there is room for them.
func (c *cycle) startRetries(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, task.StoreTimeout)
	defer cancel()
	free := maxRetrying
	for t := range c.Alive() {
		free -= t.retrying
	}
	for i := range c.Tasks() {
		t := c.Tasks()[(c.turn+i)%len(c.Tasks())]
		n := min(free, len(t.retryDue))
		if t.Lost() || n <= 0 {
			continue
		}
		if err := c.loadOrders(ctx, []wanted{{t, t.retryDue[:n]}}); err != nil {
			c.notLoaded(err, t)
			continue
		}
		for _, id := range t.retryDue[:n] {
			t.wakeUp(t.orders[id], now)
		}
		t.retryDue = t.retryDue[n:]
		free -= n
	}
}

// wakeUp gives an order what its timer was set for: a try of its dead letters at once; its deadline when the clock is
// right and the inputs are read.
func (t *partition) wakeUp(o *order, now time.Time) {
	at, ok := o.wakeAt(t.c.b)
	switch {
	case !ok:
		t.arm(o)
	case at.After(now): // it was moved, or the clock was put back, since it was taken for passed
		t.timers.Again(o.ID, at)
	case len(o.Parked) > 0:
		t.retrying++
		o.queue.list = append(o.queue.list, retryOf(t.c.b, t.Number, o))
		t.resume(o)
	default:
		t.due = append(t.due, o.ID)
	}
}

// retryOf makes the participant's own request to redrive an order. It is in no log: after a crash the order's timer
// makes it again.
func retryOf(b *behavior, partition int, o *order) *delivery {
	q := deadletter.Request{
		ID: retryID(o.ID, o.RetryAt()), Action: deadletter.Redrive, Order: o.ID, Partition: partition, At: o.RetryAt(),
	}
	rec := q.Record(b.name)
	d := &delivery{rec: &rec, order: o.ID, judged: true}
	d.ev, d.bad = event.FromRecord(rec)
	d.asks = &redrive{Request: q, automatic: true, held: map[string]*delivery{}}
	return d
}

// deadlineOf makes the local event of an order's deadline.
func deadlineOf(b *behavior, partition int, o *order, at time.Time) *delivery {
	e := event.Event{
		ID: deadlineID(o.ID, at), Type: DeadlinePassed, Source: b.name, Subject: o.ID, Time: at.UTC(), TraceParent: o.Trace,
	}
	rec := event.ToRecord(e, deadlineTopic, partition)
	return &delivery{ev: e, order: o.ID, rec: &rec, judged: true}
}
