package participant

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
)

// readOriginal reads the event of a dead letter that does not hold it again from its topic, beside the cycle. The
// order's queue waits for it.
func readOriginal(t *partition, o *order, l *delivery) {
	o.queue.reading = true
	t.c.Go(func() {
		ctx, cancel := context.WithTimeout(t.Ctx, task.StoreTimeout)
		defer cancel()
		came, bad, err := original(ctx, t.c.cfg.Log, l.refers)
		t.c.Post(func() { hasOriginal(t, o, l, came, bad, err) })
	})
}

// original is the event of a dead letter as its topic holds it. bad says why it is not the one that was parked; err,
// that it cannot be known: of class Permanent when waiting will not mend it.
func original(ctx context.Context, log broker.Log, rec *deadletter.Record) (came *broker.Record, bad, err error) {
	tp := broker.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}
	got, err := log.Fetch(ctx, []broker.Position{{TopicPartition: tp, Offset: rec.Offset, MaxBytes: 1}})
	if err == nil && !errors.Is(got[0].Err, broker.ErrOutOfRange) {
		err = got[0].Err
	}
	switch {
	case err != nil:
		return nil, nil, fault.New(fault.ClassOf(err), "the topic of a letter's event cannot be read: %w", err)
	case len(got[0].Records) == 0:
		return nil, rec.Gone(), nil
	}
	return &got[0].Records[0], rec.Refers(got[0].Records[0]), nil
}

// hasOriginal goes on with a dead letter whose event was read. One that cannot be read has failed, as any that cannot
// be answered: at once where waiting will not mend it, otherwise after a while, so that an operator can discard it.
func hasOriginal(t *partition, o *order, l *delivery, came *broker.Record, bad, err error) {
	if t.Lost() {
		return
	}
	o.queue.reading = false
	t.resume(o)
	d, now := l.request, time.Now()
	if err != nil && d.failedAt.IsZero() {
		d.failedAt = now
	}
	switch {
	case err == nil:
		l.refers = nil
		if came != nil {
			l.rec = came
			l.ev, l.bad = event.FromRecord(*came)
		}
		if bad != nil {
			l.bad = bad
		}
		d.tries, d.failedAt, o.queue.waiting = 0, time.Time{}, false
	case d.asks.automatic:
		retryLater(t, o, d)
	case fault.ClassOf(err) == fault.Permanent, now.Sub(d.failedAt) >= transientFor:
		o.queue.waiting = false
		failAgain(t, o, l, err)
	default:
		d.tries++
		o.queue.waiting = true
		t.backOff(o, d.tries)
	}
}
