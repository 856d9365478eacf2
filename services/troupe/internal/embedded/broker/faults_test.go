package broker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/broker"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// breakable starts brokers and returns a client of them, and one of what makes them fail.
func breakable(t *testing.T, brokers int) (*kgo.Client, *control.Client) {
	t.Helper()
	cfg := broker.Config{Addr: free(t), ControlAddr: free(t), LogLevel: "warn"}
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

func set(t *testing.T, c *control.Client, faults ...control.Fault) {
	t.Helper()
	if _, err := c.SetFaults(t.Context(), faults...); err != nil {
		t.Fatal(err)
	}
}

func hits(t *testing.T, c *control.Client) int {
	t.Helper()
	states, err := c.Faults(t.Context())
	if err != nil || len(states) != 1 {
		t.Fatalf("faults %+v, %v", states, err)
	}
	return states[0].Hits
}

func TestBrokerFailsAsTold(t *testing.T) {
	client, c := breakable(t, 1)
	if err := produce(t, client); err != nil {
		t.Fatal(err)
	}
	set(t, c, control.Fault{API: "produce", Topic: "t", Error: "NOT_ENOUGH_REPLICAS"})
	if err := produce(t, client); err == nil || !strings.Contains(err.Error(), kerr.NotEnoughReplicas.Message) || hits(t, c) != 1 {
		t.Errorf("produce: %v, %d hits", err, hits(t, c))
	}
	set(t, c, control.Fault{API: "produce", Topic: "other", Error: "NOT_ENOUGH_REPLICAS"})
	if err := produce(t, client); err != nil {
		t.Errorf("another topic's fault: %v", err)
	}
	set(t, c, control.Fault{API: "produce", DelayMS: 100})
	began := time.Now()
	if err := produce(t, client); err != nil || time.Since(began) < 100*time.Millisecond || hits(t, c) != 1 {
		t.Errorf("delayed: %v after %v, %d hits", err, time.Since(began), hits(t, c))
	}
	set(t, c)
	if err := produce(t, client); err != nil {
		t.Errorf("after all faults were taken away: %v", err)
	}
	if states, err := c.Faults(t.Context()); err != nil || len(states) != 0 {
		t.Errorf("faults %+v, %v", states, err)
	}
}

func TestBrokerFailsEveryKindOfRequest(t *testing.T) {
	client, c := breakable(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	broker := client.SeedBrokers()[0]
	join := func(member string) string {
		resp, err := broker.Request(ctx, joinRequest(member))
		if err != nil {
			t.Fatal(err)
		}
		return resp.(*kmsg.JoinGroupResponse).MemberID
	}
	join(join("")) // only a group that there is can fail
	topic := func() string { return "t" }
	for api, ask := range map[string]func() kmsg.Request{
		"fetch": func() kmsg.Request {
			r := kmsg.NewPtrFetchRequest()
			r.ReplicaID, r.MaxBytes = -1, 1000
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic = topic()
			p := kmsg.NewFetchRequestTopicPartition()
			p.PartitionMaxBytes = 1000
			rt.Partitions = append(rt.Partitions, p)
			r.Topics = append(r.Topics, rt)
			return r
		},
		"metadata": func() kmsg.Request {
			r := kmsg.NewPtrMetadataRequest()
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = kmsg.StringPtr("t")
			r.Topics = append(r.Topics, rt)
			return r
		},
		"find_coordinator": func() kmsg.Request {
			r := kmsg.NewPtrFindCoordinatorRequest()
			r.CoordinatorKey, r.CoordinatorKeys = "g", []string{"g"}
			return r
		},
		"join_group": func() kmsg.Request { return joinRequest("m") },
		"sync_group": func() kmsg.Request {
			r := kmsg.NewPtrSyncGroupRequest()
			r.Group, r.MemberID = "g", "m"
			return r
		},
		"heartbeat": func() kmsg.Request {
			r := kmsg.NewPtrHeartbeatRequest()
			r.Group, r.MemberID = "g", "m"
			return r
		},
		"offset_commit": func() kmsg.Request {
			r := kmsg.NewPtrOffsetCommitRequest()
			r.Group = "g"
			rt := kmsg.NewOffsetCommitRequestTopic()
			rt.Topic = topic()
			rt.Partitions = append(rt.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
			r.Topics = append(r.Topics, rt)
			return r
		},
		"offset_fetch": func() kmsg.Request {
			r := kmsg.NewPtrOffsetFetchRequest()
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = "g"
			rt := kmsg.NewOffsetFetchRequestGroupTopic()
			rt.Topic, rt.Partitions = topic(), []int32{0}
			g.Topics = append(g.Topics, rt)
			r.Groups = append(r.Groups, g)
			return r
		},
		"list_offsets": func() kmsg.Request {
			r := kmsg.NewPtrListOffsetsRequest()
			r.ReplicaID = -1
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = topic()
			rt.Partitions = append(rt.Partitions, kmsg.NewListOffsetsRequestTopicPartition())
			r.Topics = append(r.Topics, rt)
			return r
		},
	} {
		set(t, c, control.Fault{API: api, Error: "REQUEST_TIMED_OUT"})
		resp, err := broker.Request(ctx, ask())
		if n := hits(t, c); n == 0 {
			t.Errorf("%s was not hit: %+v, %v", api, resp, err)
		}
	}
}

func TestBrokerFaultsEndByThemselves(t *testing.T) {
	client, c := breakable(t, 1)
	set(t, c, control.Fault{API: "produce", Error: "NOT_ENOUGH_REPLICAS", ResetAfterS: 3})
	if err := produce(t, client); err == nil {
		t.Fatal("did not fail")
	}
	eventually(t, "it works again", func() bool { return produce(t, client) == nil })
	if states, err := c.Faults(t.Context()); err != nil || len(states) != 0 {
		t.Errorf("faults %+v, %v", states, err)
	}
	set(t, c, control.Fault{API: "produce", Error: "NOT_ENOUGH_REPLICAS"})
	if states, err := c.Faults(t.Context()); err != nil || len(states) != 1 ||
		time.Until(states[0].ResetsAt) > time.Minute || states[0].ResetAfterS != 60 {
		t.Errorf("without a time: %+v, %v", states, err)
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

func TestBrokerRefusesWhatItCannotDo(t *testing.T) {
	_, c := breakable(t, 1)
	for _, err := range []error{c.MoveLeaders(t.Context()), c.MoveCoordinators(t.Context())} {
		if fault.ClassOf(err) != fault.Conflict {
			t.Errorf("one broker: %v", err)
		}
	}
	for field, f := range map[string]control.Fault{
		"/faults/0/api":           {API: "prodice", DelayMS: 1},
		"/faults/0/error":         {API: "produce", Error: "NOT_A_LEADER"},
		"/faults/0/topic":         {API: "heartbeat", Topic: "t", Error: "REBALANCE_IN_PROGRESS"},
		"/faults/0/delay_ms":      {API: "produce", DelayMS: 60_001},
		"/faults/0/percent":       {API: "produce", DelayMS: 1, Percent: 101},
		"/faults/0/reset_after_s": {API: "produce", DelayMS: 1, ResetAfterS: 601},
	} {
		if _, err := c.SetFaults(t.Context(), f); fault.ClassOf(err) != fault.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := c.SetFaults(t.Context(), make([]control.Fault, 51)...); err == nil || !strings.Contains(err.Error(), "50 at most") {
		t.Errorf("too many: %v", err)
	}
	if states, err := c.Faults(t.Context()); err != nil || len(states) != 0 {
		t.Errorf("what was refused is at work: %+v, %v", states, err)
	}
}

func TestBrokersControlIsNotForWebPages(t *testing.T) {
	cfg := broker.Config{Addr: free(t), ControlAddr: free(t), LogLevel: "warn"}
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
