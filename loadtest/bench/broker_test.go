package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"github.com/troupe-dev/troupe/loadtest/bench/peers"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// embedded is a broker with the flow's topics, of three partitions each.
func embedded(ctx context.Context, t *testing.T) *testBroker {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b, err := openBroker(cluster.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	if _, err := b.admin.CreateTopics(ctx, 3, 1, nil, flow.Topics...); err != nil {
		t.Fatal(err)
	}
	return b
}

// Verifying must not count what a transaction took back, and must come to the end of a log that ends with its mark.
func TestCountReadsWhatIsCommitted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b := embedded(ctx, t)
	c, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.TransactionalID("test"), kgo.DefaultProduceTopic(flow.Paid))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, transaction := range []struct {
		commit kgo.TransactionEndTry
		keys   []string
	}{{kgo.TryCommit, []string{"a", "b", "a"}}, {kgo.TryAbort, []string{"c", "d", "e"}}} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, key := range transaction.keys {
			if err := c.ProduceSync(ctx, &kgo.Record{Key: []byte(key)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.EndTransaction(ctx, transaction.commit); err != nil {
			t.Fatal(err)
		}
	}
	if n, distinct, err := b.count(ctx, flow.Paid, system{}); n != 3 || distinct != 2 || err != nil {
		t.Errorf("%d events, %d different, %v; want 3 and 2", n, distinct, err)
	}
}

// Every order passes each topic once, through transactions of several orders.
func TestTransactions(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, o := embedded(ctx, t), options{orders: 50}
	if err := b.place(ctx, o, system{}, 0, o.orders, 0); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer func() { _ = rdb.Close() }()
	done, ended := make(chan string, o.orders), make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		ended <- peers.Transactions(running, &flow.Env{
			Brokers: []string{b.addr}, Redis: rdb, Charge: time.Millisecond, Concurrency: 4,
			First: func() {}, Done: func(id string, _ time.Time) { done <- id },
		})
	}()
	for range o.orders {
		select {
		case id := <-done:
			kept, err := rdb.HGet(ctx, "query:order:"+id, flow.Notified).Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if m, err := flow.Decode(kept); m.OrderID != id || err != nil {
				t.Errorf("the read model has %+v of order %s, %v", m, id, err)
			}
		case err := <-ended:
			t.Fatal("ended:", err)
		case <-ctx.Done():
			t.Fatal(fmt.Errorf("not all orders are done: %w", ctx.Err()))
		}
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if twice, err := b.verify(ctx, o, system{}); twice != 0 || err != nil {
		t.Errorf("%d events are there twice, %v", twice, err)
	}
}
