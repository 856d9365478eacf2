// Package peers holds the same choreography on what people use instead, each the way its own documentation says, each as fast as its
// documentation makes it. What each does not promise is in the README.
package peers

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"golang.org/x/sync/errgroup"
)

// Bounds of a micro-batch.
const (
	batchMost = 1000
	batchWait = 2 * time.Millisecond
)

// Tuned is kafka-go by somebody who knows it: a consumer group whose every partition is read, worked on, written and committed in
// micro-batches.
func Tuned(ctx context.Context, e *flow.Env) error {
	return stages(ctx, e, tuned)
}

// stages performs all stages at once, until ctx ends or one of them fails.
func stages(ctx context.Context, e *flow.Env, perform func(context.Context, *flow.Env, flow.Stage) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range flow.Stages {
		g.Go(func() error { return perform(ctx, e, s) })
	}
	return g.Wait()
}

func tuned(ctx context.Context, e *flow.Env, s flow.Stage) (err error) {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: s.Name, Brokers: e.Brokers, Topics: s.In, StartOffset: kafka.FirstOffset, JoinGroupBackoff: time.Second,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, group.Close()) }()
	w := &kafka.Writer{
		Addr: kafka.TCP(e.Brokers...), Topic: s.Out, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchSize: batchMost, BatchBytes: 8 << 20, BatchTimeout: time.Millisecond,
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	failed := make(chan error, e.Partitions*len(s.In))
	for {
		gen, err := group.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for topic, assigned := range gen.Assignments {
			for _, a := range assigned {
				gen.Start(func(ctx context.Context) {
					if err := tunedPartition(ctx, e, s, gen, w, topic, a); err != nil && ctx.Err() == nil {
						failed <- err
					}
				})
			}
		}
		select {
		case err := <-failed:
			return err
		default:
		}
	}
}

func tunedPartition(ctx context.Context, e *flow.Env, s flow.Stage, gen *kafka.Generation, w *kafka.Writer, topic string,
	a kafka.PartitionAssignment,
) (err error) {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: e.Brokers, Topic: topic, Partition: a.ID, MaxBytes: 4 << 20, QueueCapacity: 2 * batchMost, MaxWait: 100 * time.Millisecond,
	})
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := r.SetOffset(a.Offset); err != nil {
		return err
	}
	for {
		recs, err := gather(ctx, r)
		if err != nil {
			return err
		}
		ms := make([]flow.Message, len(recs))
		for i, rec := range recs {
			if ms[i], err = flow.Decode(rec.Value); err != nil {
				return err
			}
		}
		out, err := e.Batch(ctx, s, ms)
		if err != nil {
			return err
		}
		if len(out) > 0 {
			write := make([]kafka.Message, len(out))
			for i, o := range out {
				write[i] = kafka.Message{Key: []byte(o.OrderID), Value: o.Encode()}
			}
			if err := w.WriteMessages(ctx, write...); err != nil {
				return err
			}
		}
		next := recs[len(recs)-1].Offset + 1
		if err := gen.CommitOffsets(map[string]map[int]int64{topic: {a.ID: next}}); err != nil {
			return err
		}
	}
}

// gather waits for one record and takes what else comes within a moment.
func gather(ctx context.Context, r *kafka.Reader) ([]kafka.Message, error) {
	first, err := r.FetchMessage(ctx)
	if err != nil {
		return nil, err
	}
	recs := []kafka.Message{first}
	short, done := context.WithTimeout(ctx, batchWait)
	defer done()
	for len(recs) < batchMost {
		m, err := r.FetchMessage(short)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			break
		}
		if err != nil {
			return nil, err
		}
		recs = append(recs, m)
	}
	return recs, nil
}
