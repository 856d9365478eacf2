package hold_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const topic = "t"

// kafkaPair is a client through the proxy, and one beside it.
func kafkaPair(t *testing.T, upstream broker.Config) (p *hold.Kafka, through, beside *broker.Client) {
	t.Helper()
	p = hold.NewKafka(upstream.Brokers...)
	t.Cleanup(p.Close)
	open := func(cfg broker.Config, client string) *broker.Client {
		cfg.ClientID = client
		c, err := broker.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	cfg := upstream
	var err error
	if cfg.Brokers, err = p.Addrs(); err != nil {
		t.Fatal(err)
	}
	return p, open(cfg, "payment-2"), open(upstream, "beside")
}

func produce(c *broker.Client, value string) error {
	return produceWithin(context.Background(), c, value)
}

func produceWithin(ctx context.Context, c *broker.Client, value string) error {
	var err error
	c.Produce(ctx, []broker.Batch{{TopicPartition: broker.TopicPartition{Topic: topic},
		Records: []broker.Record{{Key: []byte("k"), Value: []byte(value)}}}}, func(p broker.Produced) { err = p.Err })
	return err
}

// values reads the log, whole.
func values(t *testing.T, c *broker.Client) []string {
	t.Helper()
	at := broker.TopicPartition{Topic: topic}
	ends, err := c.Ends(t.Context(), []broker.TopicPartition{at})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for next := int64(0); next < ends[at]; {
		f, err := c.Fetch(t.Context(), []broker.Position{{TopicPartition: at, Offset: next}})
		if err != nil || f[0].Err != nil {
			t.Fatal(err, f)
		}
		for _, r := range f[0].Records {
			got = append(got, string(r.Value))
		}
		next = f[0].Next
	}
	return got
}

func provision(t *testing.T, c *broker.Client) {
	t.Helper()
	if err := c.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the topic can be written", func() bool { return produce(c, "first") == nil })
}

func of(key kmsg.Key) func(hold.Request) bool {
	return func(r hold.Request) bool { return r.Key == key && r.Client == "payment-2" }
}

// Everything that the product asks of a broker goes through the proxy, with three brokers, and nothing beside it.
func TestKafkaClientsStayBehindTheProxy(t *testing.T) {
	cluster := brokertest.Embedded(t, kfake.NumBrokers(3))
	p := hold.NewKafka(cluster.ListenAddrs()[0])
	defer p.Close()
	addrs, err := p.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	cfg := broker.Config{Brokers: addrs, ReplicationFactor: 1, SessionTimeout: 6 * time.Second}
	c, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	modern, err := kgo.NewClient(kgo.SeedBrokers(addrs...)) // speaks the newest versions
	if err != nil {
		t.Fatal(err)
	}
	defer modern.Close()
	if err := c.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: 6}}); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		rec := &kgo.Record{Topic: topic, Value: []byte(fmt.Sprint(i))}
		if err := modern.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int32(6) { // a leader that moves is named in an answer, too
		if err := cluster.MoveTopicPartition(topic, i, (cluster.LeaderFor(topic, i)+1)%3); err != nil {
			t.Fatal(err)
		}
		if err := modern.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: i}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan int, 1)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := c.Join(ctx, "g", []string{topic}, 6, func(ctx context.Context, g broker.Generation) error {
		err := g.Commit(ctx, map[broker.TopicPartition]int64{{Topic: topic}: 0})
		served <- len(g.Assigned())
		cancel()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n := <-served; n != 6 {
		t.Errorf("%d logs assigned", n)
	}
	meta, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), modern)
	if err != nil {
		t.Fatal(err)
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{"g"}
	found, err := find.RequestWith(t.Context(), modern)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, b := range meta.Brokers {
		named[fmt.Sprintf("%s:%d", b.Host, b.Port)] = true
	}
	for _, b := range found.Coordinators {
		if !named[fmt.Sprintf("%s:%d", b.Host, b.Port)] {
			t.Errorf("the coordinator is at %s:%d, the brokers at %v", b.Host, b.Port, named)
		}
	}
	for _, direct := range cluster.ListenAddrs() {
		if named[direct] {
			t.Errorf("clients are sent beside the proxy, to %s", direct)
		}
	}
	if len(named) != 3 {
		t.Errorf("brokers %v", named)
	}
}

func TestKafkaHoldsBefore(t *testing.T) {
	p, through, beside := kafkaPair(t, brokertest.Fresh(t))
	provision(t, through)
	h := p.Hold(of(kmsg.Produce), hold.Before)
	done := make(chan error, 1)
	go func() { done <- produce(through, "held") }()
	if got := hit(t, h); got.Client != "payment-2" || got.Partition != 0 || got.What != "Produce t/0" {
		t.Errorf("held %+v", got)
	}
	if got := values(t, beside); len(got) != 1 {
		t.Errorf("the log has %q", got)
	}
	if _, err := through.Ends(t.Context(), []broker.TopicPartition{{Topic: topic}}); err != nil {
		t.Errorf("other connections stand still too: %v", err)
	}
	h.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := values(t, beside); !slices.Equal(got, []string{"first", "held"}) {
		t.Errorf("the log has %q", got)
	}
}

func TestKafkaHoldsAfter(t *testing.T) {
	p, through, beside := kafkaPair(t, brokertest.Fresh(t))
	provision(t, through)
	h := p.Hold(of(kmsg.Produce), hold.After)
	done := make(chan error, 1)
	go func() { done <- produce(through, "held") }()
	hit(t, h)
	if got := values(t, beside); !slices.Equal(got, []string{"first", "held"}) {
		t.Errorf("the log has %q", got)
	}
	select {
	case err := <-done:
		t.Fatalf("the answer was not held: %v", err)
	default:
	}
	h.Drop()
	if err := <-done; err == nil {
		t.Error("a dropped answer arrived")
	}
}

func TestKafkaAppendsLate(t *testing.T) {
	p, through, beside := kafkaPair(t, brokertest.Fresh(t))
	provision(t, through)
	h := p.Hold(of(kmsg.Produce), hold.Before)
	done := make(chan error, 1)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() { done <- produceWithin(ctx, through, "late") }()
	hit(t, h)
	giveUp()
	if err := <-done; err == nil {
		t.Error("the client was answered")
	}
	until(t, "the client appends again", func() bool { return produce(through, "again") == nil })
	h.Release()
	until(t, "the late append", func() bool { return len(values(t, beside)) == 3 })
	if got := values(t, beside); !slices.Equal(got, []string{"first", "again", "late"}) {
		t.Errorf("the log has %q", got)
	}
}

func TestKafkaHoldIsArmedAgainWhenNoAnswerComes(t *testing.T) {
	cluster := brokertest.Embedded(t)
	p, through, _ := kafkaPair(t, broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 1})
	provision(t, through)
	cluster.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, fmt.Errorf("cut"), true
	})
	h := p.Hold(of(kmsg.Produce), hold.After)
	if err := produce(through, "lost"); err == nil {
		t.Fatal("the broker cut the connection")
	}
	select {
	case <-h.Hit():
		t.Fatal("hit without an answer")
	default:
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for deadline := time.Now().Add(within); time.Now().Before(deadline); {
			if err = produce(through, "kept"); err == nil {
				break
			}
		}
		done <- err
	}()
	hit(t, h)
	h.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestKafkaFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault hold.Fault
		fails bool
		after []string // what the log has when the client has tried until it worked
	}{
		"an error":         {hold.Fault{Err: kerr.NotLeaderForPartition}, true, []string{"first", "x"}},
		"a time-out":       {hold.Fault{Err: kerr.RequestTimedOut}, true, []string{"first", "x"}},
		"a lost answer":    {hold.Fault{LoseAnswer: true}, true, []string{"first", "x", "x"}},
		"a late append":    {hold.Fault{Late: 100 * time.Millisecond}, true, []string{"first", "x", "x"}},
		"a delay":          {hold.Fault{Delay: 10 * time.Millisecond}, false, []string{"first", "x"}},
		"a delay and loss": {hold.Fault{Delay: 10 * time.Millisecond, LoseAnswer: true}, true, []string{"first", "x", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, through, beside := kafkaPair(t, brokertest.Fresh(t))
			provision(t, through)
			tt.fault.Match, tt.fault.Probability = of(kmsg.Produce), 1
			f := p.Fault(tt.fault)
			if err := produce(through, "x"); (err != nil) != tt.fails || f.Hits() != 1 {
				t.Errorf("error %v, %d hits", err, f.Hits())
			}
			f.Remove()
			if tt.fails {
				until(t, "the client appends again", func() bool { return produce(through, "x") == nil })
			}
			until(t, fmt.Sprintf("the log has %q", tt.after), func() bool { return slices.Equal(values(t, beside), tt.after) })
		})
	}
}

// A topic that nobody can read: a fetch that waits for its records gets none either, and what comes later is read as if nothing had been.
func TestKafkaMakesATopicUnreadable(t *testing.T) {
	p, through, beside := kafkaPair(t, brokertest.Fresh(t))
	provision(t, through)
	const other = "other"
	if err := through.Provision(t.Context(), []broker.Topic{{Name: other, Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	fetch := func(next int64) map[string]broker.Fetched {
		got := map[string]broker.Fetched{}
		fetched, err := through.Fetch(t.Context(), []broker.Position{
			{TopicPartition: broker.TopicPartition{Topic: topic}, Offset: next}, {TopicPartition: broker.TopicPartition{Topic: other}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fetched {
			got[f.Topic] = f
		}
		return got
	}
	end := p.Unreadable(topic)
	if got := fetch(0); got[topic].Err == nil || len(got[topic].Records) > 0 || got[other].Err != nil {
		t.Errorf("unreadable, and got %+v", got)
	}
	if got := values(t, beside); len(got) != 1 {
		t.Errorf("beside the proxy it has %q", got)
	}
	end()
	end() // nothing more
	until(t, "it can be read again", func() bool { return len(fetch(0)[topic].Records) == 1 })
}

// A fetch that is refused is so in a way that the client understands; what TestKafkaFaults refuses are appends.
func TestKafkaErrorsAreUnderstood(t *testing.T) {
	p, through, _ := kafkaPair(t, brokertest.Fresh(t))
	provision(t, through)
	f := p.Fault(hold.Fault{Match: of(kmsg.Fetch), Probability: 1, Err: kerr.UnknownMemberID})
	fetch := func() broker.Fetched {
		got, err := through.Fetch(t.Context(), []broker.Position{{TopicPartition: broker.TopicPartition{Topic: topic}}})
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	if got := fetch(); got.Err == nil || f.Hits() != 1 {
		t.Errorf("fetched %+v, %d hits", got, f.Hits())
	}
	f.Remove()
	until(t, "it is read again", func() bool { return len(fetch().Records) == 1 })
}

func TestKafkaFaultsAreDrawnFromTheSeed(t *testing.T) {
	draw := func(seed uint64) (n int) {
		p, through, _ := kafkaPair(t, brokertest.Fresh(t))
		provision(t, through)
		f := p.Fault(hold.Fault{Match: of(kmsg.Produce), Delay: time.Nanosecond, Probability: 0.5, Seed: seed})
		for range 60 {
			if err := produce(through, "x"); err != nil {
				t.Fatal(err)
			}
		}
		return f.Hits()
	}
	a, b := draw(1), draw(1)
	if a != b || a < 10 || a > 50 {
		t.Errorf("the same seed hit %d and %d of 60", a, b)
	}
}
