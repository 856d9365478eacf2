package participant

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// An event that is deferred (fault.Deferred: a refund under way, a mailbox that is full) concerns its order alone. It
// is parked at once, so that it costs neither a place in memory nor the partition's position, and its letter says when
// the participant itself redrives the chain: an order's time of retry is a timer like its deadline, and the letters in
// the log bring it back after a wipe.
const (
	retryMin = 10 * time.Second
	retryMax = time.Hour
	// maxRetrying is how many orders of an instance are retried at once: however many are deferred, and however long what
	// they ask takes, most calls of React and most connections are left to what is new.
	maxRetrying = 8
	// maxNotReady is how often a chain that is retried may find its next letter not ready, some ten minutes in all,
	// before it waits for a person, as an event does that was held for as long.
	maxNotReady = 6
)

// retryAt is when an event is tried again that failed after so many redrives: exponential from 10 s to 1 h with
// jitter, sooner when the error asks for it; zero when it waits for a person. retried: its chain was retried so far,
// so that what is behind a deferred event and not ready is tried on, for as long as it would have been held.
func retryAt(err error, redrives int, retried bool) time.Time {
	class := classOf(err)
	if class != fault.Deferred && (class != fault.NotYet || !retried || redrives >= maxNotReady) {
		return time.Time{}
	}
	d := wait.Jitter(min(retryMax, retryMin<<min(redrives, 16)))
	if f, ok := errors.AsType[*fault.Error](err); ok && f.RetryAfter > 0 {
		d = min(d, f.RetryAfter)
	}
	return time.Now().Add(d + time.Millisecond).Truncate(time.Millisecond) // what is stored is not before what was asked
}

// retryID names the try of an order's chain at a time.
func retryID(orderID string, at time.Time) string {
	return event.MakeID(orderID, "retry", at.UTC().Format(time.RFC3339Nano))
}

// wakeAt is when the order is looked at although nothing of it arrives: one with letters when they are retried,
// another at its deadline.
func (o *order) wakeAt(b *behavior) (at time.Time, ok bool) {
	if len(o.Parked) > 0 {
		return o.RetryAt, !o.RetryAt.IsZero()
	}
	at, ok = b.deadline(o.state)
	return at, ok && !o.Saw(deadlineID(o.ID, at))
}

// startRetries begins the retries that are due, while there is room for them.
func (c *cycle) startRetries(ctx context.Context) {
	free := maxRetrying
	for _, t := range c.Tasks() {
		if !t.Lost() {
			free -= t.retrying
		}
	}
	for i := range c.Tasks() {
		t := c.Tasks()[(c.retryFrom+i)%len(c.Tasks())]
		n := min(free, len(t.retryDue))
		if t.Lost() || n <= 0 {
			continue
		}
		if err := c.loadOrders(ctx, []wanted{{t, t.retryDue[:n]}}); err != nil {
			c.notLoaded(err, t)
			continue
		}
		for _, id := range t.retryDue[:n] {
			c.wakeUp(t, t.orders[id], time.Now())
		}
		t.retryDue = t.retryDue[n:]
		free -= n
	}
	c.retryFrom++ // the next partition is first the next time
}

// retryLater ends a try that met something unavailable. It is no failure of the letter, and nobody who asked waits in
// the lane: the order's place, among those that are retried and in its lane, is better used by others until then.
func (c *cycle) retryLater(t *partition, o *order, d *delivery) {
	redrives := o.Parked[0].Redrives
	t.timers.Again(o.ID, time.Now().Add(wait.Jitter(min(time.Minute, retryMin<<min(redrives, 16)))))
	c.done(t, o, d)
}

// retry puts a request of the participant itself into the order's lane. It is in no log: after a crash the order's
// timer makes it again.
func (c *cycle) retry(t *partition, o *order) {
	q := deadletter.Request{
		ID: retryID(o.ID, o.RetryAt), Action: deadletter.Redrive, Order: o.ID, Partition: t.Number, At: o.RetryAt,
	}
	rec := q.Record(c.b.name)
	d := &delivery{rec: &rec, order: o.ID, of: o, judged: true}
	d.ev, d.bad = event.FromRecord(rec)
	d.asks = &redriving{Request: q, automatic: true, held: map[string]*delivery{}}
	t.retrying++
	o.lane.queue = append(o.lane.queue, d)
	c.pump(t, o)
}
