package broker

import (
	"context"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// allInSync is acks=all: the answer comes when every in-sync replica has the batch.
const allInSync = -1

// Produce implements Log.
func (c *Client) Produce(ctx context.Context, batches []Batch, each func(Produced)) {
	var sound []Batch
	seen := map[TopicPartition]bool{}
	for _, b := range batches {
		if err := refuse(b, seen); err != nil {
			each(Produced{TopicPartition: b.TopicPartition, Base: -1, Err: err})
			continue
		}
		sound = append(sound, b)
	}
	if len(sound) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ProduceTimeout+answerWithin)
	defer cancel()
	l, err := c.layout(ctx)
	if err != nil {
		answer(sound, err, each)
		return
	}
	groups, orphans := byLeader(l, sound, func(b Batch) TopicPartition { return b.TopicPartition })
	for tp, err := range orphans {
		c.refresh()
		each(Produced{TopicPartition: tp, Base: -1, Err: err})
	}
	var leaders sync.WaitGroup
	for _, g := range groups {
		leaders.Go(func() { c.append(ctx, g.leader, g.of, each) })
	}
	leaders.Wait()
}

// refuse says why a batch is not sent at all.
func refuse(b Batch, seen map[TopicPartition]bool) error {
	if seen[b.TopicPartition] {
		return fault.New(fault.Permanent, "produce: two batches for %s/%d in one call", b.Topic, b.Partition)
	}
	seen[b.TopicPartition] = true
	if len(b.Records) == 0 {
		return fault.New(fault.Permanent, "produce: an empty batch for %s/%d", b.Topic, b.Partition)
	}
	for _, r := range b.Records {
		if r.Key == nil {
			return fault.New(fault.Permanent, "produce: a record without a key for %s/%d", b.Topic, b.Partition)
		}
	}
	return nil
}

func answer(batches []Batch, err error, each func(Produced)) {
	for _, b := range batches {
		each(Produced{TopicPartition: b.TopicPartition, Base: -1, Err: err})
	}
}

// append sends batches to the broker that leads them.
func (c *Client) append(ctx context.Context, leader int32, batches []Batch, each func(Produced)) {
	request, err := c.produceRequest(batches)
	if err != nil {
		answer(batches, fault.New(fault.Permanent, "produce: compress: %w", err), each)
		return
	}
	r, err := c.roundTrip(ctx, brokerName(leader), &exchange{api: protocol.Produce, version: produceVersion, leader: leader,
		request: request, answer: produceAnswers.Get().(*produceAnswer)})
	if err != nil {
		answer(batches, err, each)
		return
	}
	a := r.(*produceAnswer)
	defer a.free()
	for _, b := range batches {
		i := slices.IndexFunc(a.logs, func(l appended) bool { return l.TopicPartition == b.TopicPartition })
		switch {
		case i < 0:
			each(Produced{b.TopicPartition, -1, fault.New(fault.Unavailable, "%s/%d is missing in the answer of its leader", b.Topic, b.Partition)})
		case a.logs[i].code != 0:
			if moved(a.logs[i].code) {
				c.refresh()
			}
			each(Produced{b.TopicPartition, -1, code("produce", a.logs[i].code, a.logs[i].message)})
		default:
			each(Produced{TopicPartition: b.TopicPartition, Base: a.logs[i].base})
		}
	}
}
