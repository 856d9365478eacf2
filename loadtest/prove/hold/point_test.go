package hold_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// stage is a broker and a Redis, looked at from beside, and what came to the one partition so far.
type stage struct {
	t      *testing.T
	kafka  broker.Config
	addr   string
	log    *broker.Client
	redis  *redis.Client
	client *kgo.Client
	seq    uint64
	last   string
}

var (
	heard = broker.TopicPartition{Topic: participant.FactsTopic("order")}
	facts = broker.TopicPartition{Topic: participant.FactsTopic("payment")}
)

func newStage(t *testing.T) *stage {
	cluster := brokertest.Embedded(t, kfake.GroupMinSessionTimeout(time.Second)) // the dead are missed soon
	s := &stage{t: t, addr: storetest.Addr(t), kafka: broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 1,
		SessionTimeout: time.Second, ProduceTimeout: time.Second, RebalanceTimeout: 1500 * time.Millisecond}}
	s.redis = redis.NewClient(&redis.Options{Addr: s.addr})
	var err error
	if s.log, err = broker.Open(s.kafka); err != nil {
		t.Fatal(err)
	}
	if s.client, err = kgo.NewClient(kgo.SeedBrokers(s.kafka.Brokers...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.client.Close()
		_, _ = s.log.Close(), s.redis.Close()
	})
	if err := s.log.Provision(t.Context(), []broker.Topic{{Name: heard.Topic, Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a participant behind proxies of its own, so that it can be cut off from everything at once.
type instance struct {
	proxies *hold.Proxies
	kill    func()
}

func (s *stage) play(process string) instance {
	s.t.Helper()
	p := hold.NewProxies(s.kafka.Brokers, s.addr, "127.0.0.1:1", "127.0.0.1:1")
	cfg := s.kafka
	cfg.ClientID = process
	var err error
	if cfg.Brokers, err = p.Kafka.Addrs(); err != nil {
		s.t.Fatal(err)
	}
	log, err := broker.Open(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	addr, err := p.Redis.Addr(process)
	if err != nil {
		s.t.Fatal(err)
	}
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{addr}})
	types := []string{event.TypeOf(&wrapperspb.StringValue{})}
	b := participant.Behavior[int]{
		Name: "payment", FoldVersion: 1, Subscribes: []participant.Subscription{{Topic: heard.Topic, Types: types}},
		React: func(_ context.Context, _ int, m event.Message) (proto.Message, error) {
			return wrapperspb.Bytes([]byte(m.Body.(*wrapperspb.StringValue).Value)), nil
		},
		Evolve: func(n int, _ event.Message) int { return n + 1 },
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- participant.New(b, participant.Config{Log: log, Redis: rdb, Partitions: 1, LeaveWithin: time.Millisecond}).Run(ctx)
	}()
	s.t.Cleanup(func() {
		p.Close()
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
		_, _ = log.Close(), rdb.Close()
	})
	return instance{p, func() {
		p.Close() // it can tell nobody that it goes
		cancel()
	}}
}

// hand appends the next event of the one order.
func (s *stage) hand() {
	s.t.Helper()
	body := wrapperspb.String(fmt.Sprint(s.seq))
	data, err := event.Encode(body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.seq++
	e := event.Event{ID: event.MakeID("note", body.Value), Type: event.TypeOf(body), Source: "order", Subject: "o1",
		Time: time.Now(), Sequence: s.seq, PreviousID: s.last, Data: data}
	s.last = e.ID
	until(s.t, "an event can be appended", func() (ok bool) {
		s.log.Produce(s.t.Context(), []broker.Batch{{TopicPartition: heard,
			Records: []broker.Record{event.ToRecord(e, heard.Topic, 0)}}}, func(p broker.Produced) { ok = p.Err == nil })
		return ok
	})
}

// seen is what lies where, from beside.
type seen struct {
	outbox, facts, committed int64
}

func (s *stage) look() seen {
	s.t.Helper()
	var got seen
	var err error
	if got.outbox, err = s.redis.LLen(s.t.Context(), "{payment:0}:outbox").Result(); err != nil {
		s.t.Fatal(err)
	}
	if ends, err := s.log.Ends(s.t.Context(), []broker.TopicPartition{facts}); err == nil { // the topic may not exist yet
		got.facts = ends[facts]
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = "payment"
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = "payment"
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(s.t.Context(), s.client)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			if t.Topic == heard.Topic {
				got.committed = max(0, t.Partitions[0].Offset)
			}
		}
	}
	return got
}

func (s *stage) owner() string { return s.redis.HGet(s.t.Context(), "{payment:0}:meta", "owner").Val() }

func find(t *testing.T, name string) hold.Point {
	t.Helper()
	p, err := hold.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The first event is answered wholly; the second is held at the point.
func TestPointsOfTheCycle(t *testing.T) {
	for name, want := range map[string]seen{
		"before-apply":    {0, 1, 1},
		"after-apply":     {1, 1, 1},
		"before-publish":  {1, 1, 1},
		"after-publish":   {1, 2, 1},
		"before-settle":   {1, 2, 1},
		"before-position": {1, 2, 1},
		"after-settle":    {0, 2, 1},
		"before-commit":   {0, 2, 1},
		"after-commit":    {0, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			payment := s.play("payment")
			s.hand()
			settled := func(n int64) func() bool { return func() bool { return s.look() == seen{0, n, n} } }
			until(t, "the first event is answered", settled(1))
			h := find(t, name).Arm(payment.proxies, "payment", 0)
			s.hand()
			if got := hit(t, h); got.Client != "payment" || got.Partition != 0 {
				t.Errorf("hit %+v", got)
			}
			if got := s.look(); got != want {
				t.Errorf("outbox, facts, committed: %v, want %v", got, want)
			}
			h.Release()
			until(t, "the second event is answered", settled(2))
		})
	}
}

// Two deaths in a row: the second while taking over from the first.
func TestPointsOfTakingOver(t *testing.T) {
	for name, want := range map[string]seen{
		"during-claim": {0, 1, 1},
		"during-fold":  {1, 2, 1},
		"during-drain": {1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Getenv("TEST_REDIS_ADDR") == "" { // that one is shared
				t.Parallel()
			}
			s := newStage(t)
			first := s.play("payment")
			s.hand()
			until(t, "the first event is answered", func() bool { return s.look() == seen{0, 1, 1} })
			point := find(t, name)
			h := find(t, point.First).Arm(first.proxies, "payment", hold.Any)
			s.hand()
			died := hit(t, h)
			owner := s.owner()
			second := s.play("payment-2")
			again := point.Arm(second.proxies, "payment", died.Partition)
			first.kill()
			if got := hit(t, again); got.Client != "payment-2" || got.Partition != 0 {
				t.Errorf("hit %+v", got)
			}
			if got := s.look(); got != want || s.owner() == owner {
				t.Errorf("outbox, facts, committed: %v, want %v; the owner is %s and was %s", got, want, s.owner(), owner)
			}
			second.kill()
			s.play("payment-3")
			until(t, "the second event is answered", func() bool { return s.look() == seen{0, 2, 2} })
		})
	}
}

func TestFindNamesThePoints(t *testing.T) {
	if _, err := hold.Find("in-between"); err == nil {
		t.Error("found")
	}
	for _, p := range hold.Points() {
		if p.First != "" {
			find(t, p.First)
		}
	}
}
