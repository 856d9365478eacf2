package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// In a rebalance a member has the rebalance time-out to finish, although that is longer than its session: heartbeats go on.
func TestFinishingMayTakeLongerThanTheSession(t *testing.T) {
	t.Parallel()
	cluster := brokertest.Embedded(t, kfake.GroupMinSessionTimeout(100*time.Millisecond))
	cfg := broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 1, SessionTimeout: 3 * time.Second, ProduceTimeout: time.Second,
		RebalanceTimeout: 30 * time.Second}
	c, other := open(t, cfg), open(t, cfg)
	if err := c.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithTimeout(t.Context(), 20*time.Second)
	defer leave()
	began, committed := make(chan struct{}), make(chan error, 1)
	joins := make(chan error, 2)
	go func() {
		first := true
		joins <- c.Join(ctx, "g", []string{"a"}, 2, func(serving context.Context, g broker.Generation) error {
			if !first {
				<-serving.Done()
				return nil
			}
			first = false
			close(began)
			<-serving.Done()
			// Six heartbeats are two sessions.
			h := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "g", Observe: true, Count: -1})
			if err := h.Wait(ctx, 6); err != nil {
				t.Errorf("no heartbeats while it finishes: %v", err)
			}
			committed <- g.Commit(ctx, map[broker.TopicPartition]int64{a(0): 3})
			return nil
		})
	}()
	<-began
	go func() {
		joins <- other.Join(ctx, "g", []string{"a"}, 2, func(serving context.Context, g broker.Generation) error {
			if len(g.Assigned()) == 2 {
				t.Error("the other member got all before the first had finished")
			}
			leave()
			return nil
		})
	}()
	if err := <-committed; err != nil {
		t.Errorf("commit after two sessions in the rebalance: %v", err)
	}
	for range 2 {
		if err := <-joins; err != nil {
			t.Error(err)
		}
	}
}

// A commit that hangs must not hold its caller longer than it wants to wait.
func TestCommitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	cluster, c := three(t, broker.Config{})
	ctx, leave := context.WithTimeout(t.Context(), 20*time.Second)
	defer leave()
	err := c.Join(ctx, "g", []string{"a"}, 2, func(_ context.Context, g broker.Generation) error {
		defer leave()
		asked := make(chan struct{}, 1)
		cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
			asked <- struct{}{}
			return nil, nil, true
		})
		impatient, cancel := context.WithCancel(ctx)
		go func() { <-asked; cancel() }()
		if err := g.Commit(impatient, map[broker.TopicPartition]int64{a(0): 1}); err == nil {
			t.Error("committed without an answer")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
