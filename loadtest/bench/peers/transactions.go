package peers

import (
	"context"

	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// Transactions is franz-go with Kafka's transactions: what a stage answers and how far it has read are committed
// together, and readers see only what is committed. So it needs no key per event in Redis, which no transaction would
// take back. What is outside of Kafka (charge, mail, state in Redis) is done again when a transaction was aborted.
func Transactions(ctx context.Context, e *flow.Env) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range flow.Stages {
		if s.Out == "" {
			g.Go(func() error { return committedView(ctx, e, s) })
		} else {
			g.Go(func() error { return transactions(ctx, e, s) })
		}
	}
	return g.Wait()
}

// transactionsOptions of every stage. Its offsets are stable ones, and its rebalances cooperative, by default.
func transactionsOptions(e *flow.Env, s flow.Stage) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(e.Brokers...), kgo.ConsumerGroup(s.Name), kgo.ConsumeTopics(s.In...), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	}
}

// transactions runs a stage: a poll is a transaction.
func transactions(ctx context.Context, e *flow.Env, s flow.Stage) error {
	session, err := kgo.NewGroupTransactSession(append(transactionsOptions(e, s),
		kgo.TransactionalID("bench-"+s.Name), kgo.DefaultProduceTopic(s.Out), kgo.ProducerLinger(0),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		return err
	}
	defer session.Close()
	for {
		ms, err := decodeAll(ctx, session.PollRecords(ctx, 10*batchMost))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		out, err := reactByOrder(ctx, e, s, ms)
		if err != nil {
			return err
		}
		if err := e.Keep(ctx, s, ms...); err != nil {
			return err
		}
		if err := session.Begin(); err != nil {
			return err
		}
		written := kgo.AbortingFirstErrPromise(session.Client())
		for _, o := range out {
			session.Produce(ctx, &kgo.Record{Key: []byte(o.OrderID), Value: o.Encode()}, written.Promise())
		}
		// When a rebalance took partitions away, the transaction is aborted without an error, and its events come again.
		_, err = session.End(ctx, kgo.TransactionEndTry(written.Err() == nil))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// committedView keeps the read model: it writes nothing to Kafka, so it stores a poll, then commits its offsets.
func committedView(ctx context.Context, e *flow.Env, s flow.Stage) error {
	c, err := kgo.NewClient(append(transactionsOptions(e, s), kgo.BlockRebalanceOnPoll())...)
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
		if err := e.Keep(ctx, s, ms...); err != nil {
			return err
		}
		if err := c.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
		c.AllowRebalance()
	}
}

func decodeAll(ctx context.Context, fetches kgo.Fetches) ([]flow.Message, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := fetches.Err(); err != nil {
		return nil, err
	}
	ms := make([]flow.Message, 0, fetches.NumRecords())
	for r := range fetches.RecordsAll() {
		m, err := flow.Decode(r.Value)
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	return ms, nil
}

// reactByOrder works on the events of one order one after the other, and on as many orders at once as the setting says.
func reactByOrder(ctx context.Context, e *flow.Env, s flow.Stage, ms []flow.Message) ([]flow.Message, error) {
	byOrder := make(map[string][]int, len(ms))
	for i, m := range ms {
		byOrder[m.OrderID] = append(byOrder[m.OrderID], i)
	}
	out := make([]flow.Message, len(ms))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(e.Concurrency)
	for _, events := range byOrder {
		g.Go(func() (err error) {
			for _, i := range events {
				if out[i], err = e.React(ctx, s, ms[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return out, g.Wait()
}
