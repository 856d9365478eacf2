package broker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/broker"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// breakable starts brokers and returns a client of them, and one of what makes them move.
func breakable(t *testing.T, brokers int) (*kgo.Client, *control.Client) {
	t.Helper()
	cfg := broker.Config{Addr: free(t), ControlAddr: free(t)}
	for range brokers - 1 {
		cfg.Further = append(cfg.Further, free(t))
	}
	stop := running(t, func(ctx context.Context) error { return broker.Run(ctx, cfg) })
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, addr := range []string{cfg.Addr, cfg.ControlAddr} {
		if err := supervise.Dialable(ctx, addr); err != nil {
			t.Fatal(err)
		}
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
	door := httptest.NewServer(control.Handler(nil, control.Stores{Broker: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: cfg.ControlAddr})
	}}}))
	t.Cleanup(door.Close)
	return client, control.NewClient(door.URL)
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
	client, c := breakable(t, 3)
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
		if err := c.MoveLeaders(t.Context()); err != nil {
			t.Fatal(err)
		}
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
		if err := c.MoveCoordinators(t.Context()); err != nil {
			t.Fatal(err)
		}
		return coordinator() != was
	})
}

func TestOneBrokerMovesNothing(t *testing.T) {
	_, c := breakable(t, 1)
	for _, err := range []error{c.MoveLeaders(t.Context()), c.MoveCoordinators(t.Context())} {
		if fault.ClassOf(err) != fault.Conflict {
			t.Errorf("one broker: %v", err)
		}
	}
}

func TestBrokersControlIsNotForWebPages(t *testing.T) {
	cfg := broker.Config{Addr: free(t), ControlAddr: free(t)}
	defer running(t, func(ctx context.Context) error { return broker.Run(ctx, cfg) })()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := supervise.Dialable(ctx, cfg.ControlAddr); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+cfg.ControlAddr+"/coordinators/move", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
}
