package peers

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"golang.org/x/sync/errgroup"
)

// Raw is the limit: kafka-go moves the same bytes through the same topics and does nothing with them: no group, no commit, no Redis, no
// decoding. Its Done is told by number, not by order.
func Raw(ctx context.Context, e *flow.Env) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range flow.Stages {
		for _, topic := range s.In {
			for p := range e.Partitions {
				g.Go(func() error { return raw(ctx, e, s, topic, p) })
			}
		}
	}
	return g.Wait()
}

func raw(ctx context.Context, e *flow.Env, s flow.Stage, topic string, partition int) (err error) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: e.Brokers, Topic: topic, Partition: partition, MaxBytes: 4 << 20, QueueCapacity: 2 * batchMost})
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.SetOffset(kafka.FirstOffset); err != nil {
		return err
	}
	w := &kafka.Writer{
		Addr: kafka.TCP(e.Brokers...), Topic: s.Out, RequiredAcks: kafka.RequireAll, BatchSize: batchMost, BatchBytes: 8 << 20,
		BatchTimeout: time.Millisecond,
		Balancer:     kafka.BalancerFunc(func(kafka.Message, ...int) int { return partition }),
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for {
		recs, err := gather(ctx, r)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if s.Name == "payment" {
			e.Started()
		}
		if s.Out == "" {
			e.Moved(topic, partition, recs[len(recs)-1].Offset+1)
			continue
		}
		out := make([]kafka.Message, len(recs))
		for i, rec := range recs {
			out[i] = kafka.Message{Key: rec.Key, Value: rec.Value}
		}
		if err := w.WriteMessages(ctx, out...); err != nil {
			return err
		}
	}
}
