package peers

import (
	"context"
	"errors"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/loadtest/bench/flow"
)

// Naive is kafka-go as its README shows it: a group Reader, one message at a time, a commit each. Two settings differ from its
// defaults, which would make it a caricature: acknowledgement by all replicas, and no linger of a second.
func Naive(ctx context.Context, e *flow.Env) error {
	return stages(ctx, e, naive)
}

func naive(ctx context.Context, e *flow.Env, s flow.Stage) (err error) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: e.Brokers, GroupID: s.Name, GroupTopics: s.In, StartOffset: kafka.FirstOffset})
	defer func() { err = errors.Join(err, r.Close()) }()
	w := &kafka.Writer{
		Addr: kafka.TCP(e.Brokers...), Topic: s.Out, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll, BatchSize: 1,
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for {
		rec, err := r.FetchMessage(ctx)
		if errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m, err := flow.Decode(rec.Value)
		if err != nil {
			return err
		}
		out, err := e.Batch(ctx, s, []flow.Message{m})
		if err != nil {
			return err
		}
		for _, o := range out {
			if err := w.WriteMessages(ctx, kafka.Message{Key: []byte(o.OrderID), Value: o.Encode()}); err != nil {
				return err
			}
		}
		if err := r.CommitMessages(ctx, rec); err != nil {
			return err
		}
	}
}
