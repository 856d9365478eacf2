package projection

import (
	"context"
	"errors"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// refold makes an order anew from the start of the logs up to what is folded of them: a fact contradicts the head of a chain
// that began in the middle. It reads a whole partition, at most once per order: afterwards no head of it is adopted.
func (c *cycle[D]) refold(ctx context.Context, t *task, o *order[D], until []int64) error {
	var logs []broker.TopicPartition
	for _, s := range t.sources[:len(c.b.Topics)] {
		logs = append(logs, s.TopicPartition)
	}
	c.watch.refold(t.partition, o.id)
	at, err := c.cfg.Log.Starts(ctx, logs)
	if err != nil {
		return &outage{partKafka, err}
	}
	fresh := newOrder(c.b, o.id)
	for {
		var from []broker.Position
		for i, tp := range logs {
			if at[tp] < until[i] {
				from = append(from, broker.Position{TopicPartition: tp, Offset: at[tp]})
			}
		}
		if len(from) == 0 {
			break
		}
		if err := c.refoldFetch(ctx, fresh, from, at, logs, until); err != nil {
			return &outage{partKafka, err}
		}
	}
	fresh.confirm()
	o.record, o.changed = fresh.record, true
	return nil
}

// refoldFetch reads once and moves at. That nothing comes although it was folded before is an error: the log is another one.
func (c *cycle[D]) refoldFetch(ctx context.Context, fresh *order[D], from []broker.Position, at map[broker.TopicPartition]int64,
	logs []broker.TopicPartition, until []int64) error {
	fetched, err := c.cfg.Log.Fetch(ctx, from)
	moved := false
	for _, f := range fetched {
		err = errors.Join(err, f.Err)
		moved = moved || f.Next > at[f.TopicPartition]
	}
	if err == nil && !moved {
		err = fault.New(fault.Unavailable, "the logs of partition %d end before what was read of them", from[0].Partition)
	}
	if err != nil {
		return err
	}
	for _, f := range fetched {
		i := slices.Index(logs, f.TopicPartition)
		at[f.TopicPartition] = f.Next
		for _, r := range f.Records {
			if e, err := event.FromRecord(r); err == nil && e.Subject == fresh.id && r.Offset < until[i] {
				_, _ = fresh.take(c.b, i, e, At{f.TopicPartition, r.Offset})
			}
		}
	}
	return nil
}
