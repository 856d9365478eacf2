package broker

import (
	"context"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
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
	led, orphans := byLeader(l, sound, func(b Batch) TopicPartition { return b.TopicPartition })
	for tp, err := range orphans {
		c.refresh()
		each(Produced{TopicPartition: tp, Base: -1, Err: err})
	}
	var leaders sync.WaitGroup
	for leader, batches := range led {
		leaders.Go(func() { c.append(ctx, leader, batches, each) })
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
	request := &produce.Request{Acks: allInSync, Timeout: int32(c.cfg.ProduceTimeout.Milliseconds())}
	for _, b := range batches {
		partition := produce.RequestPartition{Partition: int32(b.Partition), RecordSet: c.recordSet(b)}
		if last := len(request.Topics) - 1; last >= 0 && request.Topics[last].Topic == b.Topic {
			request.Topics[last].Partitions = append(request.Topics[last].Partitions, partition)
			continue
		}
		request.Topics = append(request.Topics, produce.RequestTopic{Topic: b.Topic, Partitions: []produce.RequestPartition{partition}})
	}
	r, err := c.roundTrip(ctx, brokerName(leader), request)
	if err != nil {
		answer(batches, err, each)
		return
	}
	answered := map[TopicPartition]produce.ResponsePartition{}
	for _, t := range r.(*produce.Response).Topics {
		for _, p := range t.Partitions {
			answered[TopicPartition{t.Topic, int(p.Partition)}] = p
		}
	}
	for _, b := range batches {
		p, ok := answered[b.TopicPartition]
		switch {
		case !ok:
			each(Produced{b.TopicPartition, -1, fault.New(fault.Unavailable, "%s/%d is missing in the answer of its leader", b.Topic, b.Partition)})
		case p.ErrorCode != 0:
			if moved(p.ErrorCode) {
				c.refresh()
			}
			each(Produced{b.TopicPartition, -1, code("produce", p.ErrorCode, message(p))})
		default:
			each(Produced{TopicPartition: b.TopicPartition, Base: p.BaseOffset})
		}
	}
}

// message is what the broker said about the batch, or about the first record it refused.
func message(p produce.ResponsePartition) string {
	if p.ErrorMessage == "" && len(p.RecordErrors) > 0 {
		return p.RecordErrors[0].BatchIndexErrorMessage
	}
	return p.ErrorMessage
}

func (c *Client) recordSet(b Batch) protocol.RecordSet {
	now := time.Now()
	records := make([]protocol.Record, len(b.Records))
	for i, r := range b.Records {
		if r.Time.IsZero() {
			r.Time = now
		}
		records[i] = protocol.Record{Time: r.Time, Key: protocol.NewBytes(r.Key), Value: protocol.NewBytes(r.Value), Headers: r.Headers}
	}
	return protocol.RecordSet{Version: 2, Attributes: c.compression, Records: protocol.NewRecordReader(records...)}
}
