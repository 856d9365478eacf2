package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"github.com/troupe-dev/troupe/loadtest/bench/peers"
	"github.com/troupe-dev/troupe/loadtest/measure"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// testBroker prepares and reads the broker, beside what is measured.
type testBroker struct {
	addr   string
	pid    int // 0: another machine's
	client *kgo.Client
	admin  *kadm.Client
}

func openBroker(addr string) (*testBroker, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100_000)) // an order is sent when it is due, not with those of the next 10 ms
	if err != nil {
		return nil, err
	}
	return &testBroker{addr: addr, pid: listener(addr), client: c, admin: kadm.NewClient(c)}, nil
}

func (b *testBroker) close() { b.client.Close() }

// fresh deletes every topic and group and makes the topics that the orders need.
func (b *testBroker) fresh(ctx context.Context, o options, sys system) error {
	groups, err := b.admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	if _, err := b.admin.DeleteGroups(ctx, groups.Groups()...); err != nil {
		return err
	}
	topics, err := b.admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	if _, err := b.admin.DeleteTopics(ctx, topics.Names()...); err != nil {
		return err
	}
	for left := 1; left > 0; { // a topic is deleted in the background
		topics, err := b.admin.ListTopics(ctx)
		if err != nil {
			return err
		}
		left = len(topics)
	}
	if err := settled(func() error { // a broker that has just begun has no coordinator of groups yet
		_, err := b.admin.FetchOffsets(ctx, "none")
		return err
	}); err != nil {
		return err
	}
	want := append([]string{peers.Poisoned}, flow.Topics...)
	if sys.troupe {
		want = []string{participant.FactsTopic("order")}
	}
	made, err := b.admin.CreateTopics(ctx, int32(o.partitions), 1, nil, want...)
	if err := errors.Join(err, made.Error()); err != nil {
		return err
	}
	return settled(func() error { // the broker leads them a little later
		ends, err := b.admin.ListEndOffsets(ctx, want...)
		if err == nil {
			err = ends.Error()
		}
		return err
	})
}

// settled asks until the answer is none that passes by itself: not every peer asks again.
func settled(ask func() error) error {
	for {
		if err := ask(); !kerr.IsRetriable(err) {
			return err
		}
	}
}

// fits says which keys the n-th order may have: of so many percent only those of partition 0.
func (o options) fits(n int) func(key string) bool {
	if n%100 >= o.hot {
		return nil
	}
	return func(key string) bool { return broker.Partition([]byte(key), o.partitions) == 0 }
}

func (o options) record(sys system, n int, due time.Time) *kgo.Record {
	if !sys.troupe {
		m := flow.Order(n, due, o.fits(n))
		id := kgo.RecordHeader{Key: wkafka.UUIDHeaderKey, Value: []byte(m.ID)} // Watermill knows a message by it, the others do not look
		return &kgo.Record{Topic: flow.Placed, Key: []byte(m.OrderID), Value: m.Encode(), Headers: []kgo.RecordHeader{id}}
	}
	r := peers.TroupeOrder(n, due, o.partitions, o.fits(n))
	k := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
	for key, value := range r.Headers.All() {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: key, Value: value})
	}
	return k
}

// joined is how long after its start a worker has joined its groups: Kafka Streams takes the longest.
const joined = 12 * time.Second

// place puts count orders into the log: at once, or from joined on at a rate, each when it is due, however slow the
// others are.
func (b *testBroker) place(ctx context.Context, o options, sys system, from, count, rate int) error {
	appended := make(chan error, count)
	begin := time.Now()
	for n := range count {
		due := begin
		if rate > 0 {
			due = begin.Add(joined + time.Duration(n)*time.Second/time.Duration(rate))
			if err := wait.Sleep(ctx, time.Until(due)); err != nil {
				return err
			}
		}
		b.client.Produce(ctx, o.record(sys, from+n, due), func(_ *kgo.Record, err error) { appended <- err })
	}
	var all error
	for range count {
		all = errors.Join(all, <-appended)
	}
	return all
}

// verify reads what the run left: each topic of the flow must hold one event of each order. It returns how many are there twice.
func (b *testBroker) verify(ctx context.Context, o options, sys system) (duplicates int, err error) {
	topics := flow.Topics
	if sys.troupe {
		topics = []string{participant.FactsTopic("order"), participant.FactsTopic("payment"), participant.FactsTopic("notification")}
	}
	for _, topic := range topics {
		kinds := 1
		if topic == participant.FactsTopic("order") {
			kinds = 2 // placed and confirmed
		}
		n, distinct, err := b.count(ctx, topic, sys)
		if err != nil {
			return 0, err
		}
		if distinct != kinds*(o.orders+o.flush) {
			return 0, fmt.Errorf("%s holds %d different events, must be %d", topic, distinct, kinds*(o.orders+o.flush))
		}
		duplicates += n - distinct
	}
	return duplicates, nil
}

// count reads a topic to its end: how many events are committed there, and how many of them differ.
func (b *testBroker) count(ctx context.Context, topic string, sys system) (n, distinct int, err error) {
	ends, err := b.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, 0, err
	}
	from := map[int32]kgo.Offset{}
	unread := map[int32]int64{} // where each partition ends, until it is read
	ends.Each(func(l kadm.ListedOffset) {
		from[l.Partition] = kgo.NewOffset().At(0)
		if l.Offset > 0 {
			unread[l.Partition] = l.Offset
		}
	})
	// What was aborted is not there for a reader. A transaction's end takes an offset of its own: kept, it shows how far one has read.
	c, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	ids := map[string]bool{}
	for len(unread) > 0 {
		got := c.PollFetches(ctx)
		if err := got.Err(); err != nil {
			return 0, 0, err
		}
		for r := range got.RecordsAll() {
			if r.Offset+1 >= unread[r.Partition] {
				delete(unread, r.Partition)
			}
			if r.Attrs.IsControl() {
				continue
			}
			id := string(r.Key)
			for _, h := range r.Headers {
				if sys.troupe && h.Key == "ce_id" {
					id = string(h.Value)
				}
			}
			ids[id] = true
			n++
		}
	}
	return n, len(ids), nil
}

// listener is the process that listens on a local port, 0 when none of this machine does.
func listener(addr string) int {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	out, err := exec.Command("ss", "-Hltnp", "sport = :"+port).Output() //nolint:gosec // a port number
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(out), "pid=")
	digits, _, _ := strings.Cut(rest, ",")
	pid, _ := strconv.Atoi(digits)
	return pid
}

// cpu is the processor time that the broker has used, in steps of 10 ms; 0 when it is not known.
func (b *testBroker) cpu() time.Duration {
	used, _, err := measure.Usage(b.pid)
	if err != nil {
		return 0
	}
	return used
}

func cpuOfRedis(ctx context.Context, rdb *redis.Client) time.Duration {
	var sum float64
	info, err := rdb.InfoMap(ctx, "cpu").Result()
	if err != nil {
		return 0
	}
	for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
		v, _ := strconv.ParseFloat(info["CPU"][field], 64)
		sum += v
	}
	return time.Duration(sum * float64(time.Second))
}
