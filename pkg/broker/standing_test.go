package broker_test

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func TestGroupSeenFromOutside(t *testing.T) {
	t.Parallel()
	cluster := brokertest.Embedded(t)
	cfg := broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 1}
	c, outside := open(t, cfg), open(t, cfg)
	if err := c.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	logs := []broker.TopicPartition{a(0), a(1)}
	if s, err := outside.Group(t.Context(), "g", logs); err != nil || s.Members != 0 || s.Committed[a(0)] != -1 {
		t.Errorf("a group of nobody: %+v, %v", s, err)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	if err := c.Join(ctx, "g", []string{"a"}, 2, func(_ context.Context, g broker.Generation) error {
		if err := g.Commit(ctx, map[broker.TopicPartition]int64{a(1): 3}); err != nil {
			t.Error(err)
		}
		s, err := outside.Group(ctx, "g", logs)
		if err != nil || s.Members != 1 || s.Committed[a(0)] != -1 || s.Committed[a(1)] != 3 {
			t.Errorf("a group of one: %+v, %v", s, err)
		}
		leave()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if s, err := outside.Group(t.Context(), "g", logs); err != nil || s.Members != 0 || s.Committed[a(1)] != 3 {
		t.Errorf("a group that was left: %+v, %v", s, err)
	}
	cluster.Close()
	if _, err := outside.Group(t.Context(), "g", logs); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("without a broker: %v", err)
	}
}
