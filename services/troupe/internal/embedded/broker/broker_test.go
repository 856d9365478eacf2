package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/services/troupe/freeport"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/broker"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// free returns an address nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	port := freeport.Take()
	if port == 0 {
		t.Fatal("no free port")
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// running runs f until the returned function is called, which waits for its end.
func running(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func TestBrokerKeepsRecordsAndOffsetsOverARestart(t *testing.T) {
	cfg := broker.Config{Addr: free(t), Dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stop := running(t, func(ctx context.Context) error { return broker.Run(ctx, cfg) })
	if err := supervise.Dialable(ctx, cfg.Addr); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Addr), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
	create.Topics = append(create.Topics, topic)
	if _, err := create.RequestWith(ctx, client); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, kgo.StringRecord("kept"), kgo.StringRecord("too")).FirstErr(); err == nil {
		t.Fatal("a record without a topic was taken")
	}
	for _, v := range []string{"kept", "too"} {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	stop = running(t, func(ctx context.Context) error { return broker.Run(ctx, cfg) })
	defer stop()
	var got []string
	for len(got) < 2 && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if strings.Join(got, " ") != "kept too" {
		t.Errorf("after the restart the log holds %q", got)
	}
}

// Members that die while they wait for their joins' answers must not keep their partitions.
func TestMembersThatDieInTheirJoinsLoseTheirPlaces(t *testing.T) {
	cfg := broker.Config{Addr: free(t)}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	stop := running(t, func(ctx context.Context) error { return broker.Run(ctx, cfg) })
	if err := supervise.Dialable(ctx, cfg.Addr); err != nil {
		t.Fatal(err)
	}
	defer stop()
	connect := func() *kgo.Client {
		client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	}
	client := connect()
	join := func(member string) *kmsg.JoinGroupResponse {
		t.Helper()
		req := joinRequest(member)
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	id := func() string { return join("").MemberID } // the broker asks for a second join with the id that it gave
	alive := id()
	generation := join(alive).Generation
	// live syncs and beats until the group rebalances, and joins again.
	live := func(meanwhile func()) *kmsg.JoinGroupResponse {
		t.Helper()
		done := kmsg.NewPtrSyncGroupRequest()
		done.Group, done.MemberID, done.Generation = "g", alive, generation
		if _, err := done.RequestWith(ctx, client); err != nil {
			t.Fatal(err)
		}
		for {
			beat := kmsg.NewPtrHeartbeatRequest()
			beat.Group, beat.MemberID, beat.Generation = "g", alive, generation
			resp, err := beat.RequestWith(ctx, client)
			if err != nil {
				t.Fatalf("the dead members keep their places: %v", err)
			}
			if resp.ErrorCode == kerr.RebalanceInProgress.Code {
				meanwhile()
				again := join(alive)
				generation = again.Generation
				return again
			}
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the pace of a client's heartbeats; nothing waits for it
		}
	}
	const dying = 8 // the broker forgets about one in two
	var others []*kgo.Client
	var joined sync.WaitGroup
	for range dying {
		other, req := connect(), joinRequest(id()) // a join holds up what comes after it on its connection
		others = append(others, other)
		joined.Go(func() { _, _ = req.RequestWith(ctx, other) }) // nobody lives to see the answer
	}
	die := func() {
		for _, other := range others {
			other.Close()
		}
		joined.Wait()
		for range 200 { // the broker must have noticed before it answers; it tells nobody when it has
			if err := client.Ping(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	for members := live(die); len(members.Members) != 1; {
		members = live(func() {})
	}
}

func joinRequest(member string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = "g", member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 2000, 30000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	req.Protocols = append(req.Protocols, p)
	return req
}

func TestConfigurationNamesTheVariable(t *testing.T) {
	for _, e := range []string{"BROKER_ADDR=9092", "BROKER_FURTHER_ADDRS=9092", "BROKER_SYNC_WRITES=perhaps"} {
		name, _, _ := strings.Cut(e, "=")
		cfg, err := config.Load[broker.Config]([]string{"BROKER_ADDR=127.0.0.1:0", e})
		if err == nil {
			err = broker.Run(t.Context(), cfg)
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error = %v", e, err)
		}
	}
}
