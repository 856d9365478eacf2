package broker_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/broker"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// three starts as many brokers and returns a client of them.
func three(t *testing.T) *kgo.Client {
	t.Helper()
	cfg := broker.Config{Addr: free(t), Further: []string{free(t), free(t)}}
	stop := running(t, func(ctx context.Context) error { return broker.Run(ctx, cfg) })
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := supervise.Dialable(ctx, cfg.Addr); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Addr), kgo.RequestRetries(0), kgo.RecordRetries(0), kgo.DisableIdempotentWrite(),
		kgo.MaxVersions(kversion.V2_8_0())) // topics by name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 6, 1
	create.Topics = append(create.Topics, topic)
	if _, err := create.RequestWith(ctx, client); err != nil {
		t.Fatal(err)
	}
	return client
}

func produce(t *testing.T, client *kgo.Client) error {
	return client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr()
}

// eventually asks again and again until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestBrokerMovesLeadersAndCoordinators(t *testing.T) {
	client := three(t)
	move := func(s syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	leaders := func() (list []int32) {
		meta, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client)
		if err != nil || len(meta.Brokers) != 3 {
			t.Fatalf("metadata %+v, %v", meta, err)
		}
		for _, topic := range meta.Topics {
			for _, p := range topic.Partitions {
				list = append(list, p.Leader)
			}
		}
		return list
	}
	before := leaders()
	eventually(t, "a leader moves", func() bool {
		move(broker.MoveLeaders)
		for i, leader := range leaders() {
			if leader != before[i] {
				return true
			}
		}
		return false
	})
	eventually(t, "all partitions can be written", func() bool { return produce(t, client) == nil })
	coordinator := func() int32 {
		r := kmsg.NewPtrFindCoordinatorRequest()
		r.CoordinatorKey, r.CoordinatorKeys = "g", []string{"g"}
		resp, err := r.RequestWith(t.Context(), client)
		if err != nil || len(resp.Coordinators) != 1 {
			t.Fatalf("coordinator %+v, %v", resp, err)
		}
		return resp.Coordinators[0].NodeID
	}
	was := coordinator()
	eventually(t, "the coordinator moves", func() bool {
		move(broker.MoveCoordinators)
		return coordinator() != was
	})
}
