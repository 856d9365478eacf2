package participant

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// publishing sends what the outboxes hold.
type publishing struct{ *cycle }

// appending is one batch of one task on its way.
type appending struct {
	t       *partition
	log     *ownLog
	entries []*outbox.Entry
	began   time.Time
	result  broker.Produced
}

// run sends one request for all tasks, with one batch in flight per log, retried from its head.
func (c publishing) run() {
	var batches []broker.Batch
	sent := map[broker.TopicPartition]*appending{}
	now := time.Now()
	for t := range c.Alive() {
		for _, l := range t.own {
			if l.busy || now.Before(l.retryAt) {
				continue
			}
			entries := t.outbox.Sendable(l.Topic, cmp.Or(l.most, outbox.BatchRecords), outbox.BatchBytes)
			if len(entries) == 0 {
				continue
			}
			b := broker.Batch{TopicPartition: l.TopicPartition, Records: make([]broker.Record, 0, len(entries))}
			for _, e := range entries {
				b.Records = append(b.Records, e.Record)
			}
			l.busy = true
			t.inFlight++
			batches = append(batches, b)
			sent[l.TopicPartition] = &appending{t: t, log: l, entries: entries, began: now}
		}
	}
	if len(batches) == 0 {
		return
	}
	c.inFlight++
	c.Go(func() {
		c.cfg.Log.Produce(context.Background(), batches, func(p broker.Produced) {
			a := sent[p.TopicPartition]
			a.result = p
			c.Post(func() { c.acknowledge(a) })
		})
		c.Post(func() { c.inFlight-- })
	})
}

// acknowledge follows what became of a batch.
func (c publishing) acknowledge(a *appending) {
	t, l := a.t, a.log
	t.inFlight--
	t.Moved = true
	l.busy = false
	c.watch.published(l.Topic, len(a.entries), a.began, a.result.Err)
	if a.result.Err != nil {
		c.notPublished(a)
		return
	}
	if l.tries > 0 {
		c.Logger.Info("publishing again", "topic", l.Topic, "partition", l.Partition)
	}
	l.tries, l.most, l.refused = 0, 0, nil
	if t.Lost() {
		return
	}
	base := a.result.Base
	t.outbox.Acknowledge(a.entries, base)
	if c.b.admits && l.Topic == c.b.facts {
		return // read back as input
	}
	if base < l.expected || base > l.expected && !c.readGap(t, l, base) {
		c.Lose(t, "contradicted")
		return
	}
	l.expected = base + int64(len(a.entries))
}

// notPublished decides how a batch is sent again that was not acknowledged. An outage is waited out. A batch that the
// broker refuses for good (too large, not authorized, a policy) is divided until the entry at fault is alone, and what
// is before it has left. That one leaves by reference when it is a dead letter and too large; any other keeps its log
// waiting, aloud, until an operator has mended what refuses it: a fact that was decided cannot be given up, and
// nothing may pass it.
func (c publishing) notPublished(a *appending) {
	l, err := a.log, a.result.Err
	c.Count(publishRetried, 1, telemetry.Topic.String(l.Topic))
	refused := fault.ClassOf(err) == fault.Permanent
	if refused && len(a.entries) > 1 {
		l.most = len(a.entries) / 2
		return
	}
	if errors.Is(err, broker.ErrTooLarge) {
		if letter, ok := deadletter.ByReference(a.entries[0].Record); ok && l.Topic == c.b.letters {
			a.entries[0].Record = letter
			c.Logger.Warn("a letter is too large for its topic and leaves without its bytes", "topic", l.Topic,
				"partition", l.Partition, "order_id", a.entries[0].Order, "error", err)
			return
		}
	}
	l.tries++
	l.retryAt = time.Now().Add(wait.Backoff(l.tries))
	switch {
	case refused:
		c.Count(publishRefused, 1, telemetry.Topic.String(l.Topic))
		if l.refused == nil {
			c.Logger.Error("kafka refuses what is published; its partition waits until that is mended", "topic", l.Topic,
				"partition", l.Partition, "order_id", a.entries[0].Order, "error", err)
		}
		l.refused = err
	case l.tries == 1:
		c.Logger.Warn("publishing failed, trying again", "topic", l.Topic, "partition", l.Partition, "error", err)
	}
}

// readGap reads what somebody else appended before this task's batch: a late copy of what is known changes nothing;
// anything else means that the log knows better (false), and so does a gap that cannot be read now.
func (c publishing) readGap(t *partition, l *ownLog, to int64) bool {
	ctx, cancel := context.WithTimeout(t.Ctx, task.StoreTimeout)
	defer cancel()
	c.Count(publishUnexpected, 1, telemetry.Topic.String(l.Topic))
	for from := l.expected; from < to; {
		got, err := c.cfg.Log.Fetch(ctx, []broker.Position{{TopicPartition: l.TopicPartition, Offset: from}})
		if err != nil || len(got) != 1 || got[0].Err != nil || got[0].Next == from && ctx.Err() != nil {
			return false
		}
		w := wanted{t: t}
		for _, r := range got[0].Records {
			w.ids = append(w.ids, deadletter.OrderOf(r))
		}
		if err := c.loadOrders(ctx, []wanted{w}); err != nil {
			return false
		}
		for _, r := range got[0].Records {
			if r.Offset < to && !known(t, l, r) {
				return false
			}
		}
		from = got[0].Next
	}
	return true
}

// known says whether a record of an own topic repeats what this task decided.
func known(t *partition, l *ownLog, r broker.Record) bool {
	o := t.orders[deadletter.OrderOf(r)]
	if l.Topic == t.c.b.letters {
		n, err := deadletter.Parse(r)
		return err != nil || o.knownNote(n)
	}
	e, err := event.FromRecord(r)
	if err != nil || e.Sequence == 0 {
		return true
	}
	if e.Sequence > o.Own().Sequence {
		return false
	}
	own := t.outbox.Undelivered(o.ID, e.Sequence)
	return own == nil || !own.Contradicts(e)
}
