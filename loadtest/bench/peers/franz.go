package peers

import (
	"context"

	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Franz is a hand-written loop on franz-go: poll, work, produce, commit, all partitions of a stage in one batch.
func Franz(ctx context.Context, e *flow.Env) error {
	return stages(ctx, e, franz)
}

func franz(ctx context.Context, e *flow.Env, s flow.Stage) error {
	c, err := kgo.NewClient(
		kgo.SeedBrokers(e.Brokers...), kgo.ConsumerGroup(s.Name), kgo.ConsumeTopics(s.In...), kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DefaultProduceTopic(s.Out),
		kgo.ProducerLinger(0), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()),
	)
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	for {
		ms, err := decodeAll(ctx, c.PollRecords(ctx, 10*batchMost))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		out, err := e.Batch(ctx, s, ms)
		if err != nil {
			return err
		}
		var produce []*kgo.Record
		for _, o := range out {
			produce = append(produce, &kgo.Record{Key: []byte(o.OrderID), Value: o.Encode()})
		}
		if err := c.ProduceSync(ctx, produce...).FirstErr(); err != nil {
			return err
		}
		if err := c.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
		c.AllowRebalance()
	}
}
