package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// three starts a cluster of three brokers with topic a, whose partition p is led by broker p.
func three(t *testing.T, cfg broker.Config) (*kfake.Cluster, *broker.Client) {
	t.Helper()
	cluster := brokertest.Embedded(t, kfake.NumBrokers(3))
	cfg.Brokers, cfg.ReplicationFactor = cluster.ListenAddrs(), 1
	c := open(t, cfg)
	if err := c.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 3}}); err != nil {
		t.Fatal(err)
	}
	for p := range int32(3) {
		if err := cluster.MoveTopicPartition("a", p, p); err != nil {
			t.Fatal(err)
		}
	}
	return cluster, c
}

func a(p int) broker.TopicPartition { return broker.TopicPartition{Topic: "a", Partition: p} }

func one(c *broker.Client, ctx context.Context, tp broker.TopicPartition) (got broker.Produced) {
	c.Produce(ctx, []broker.Batch{{TopicPartition: tp, Records: []broker.Record{{Key: []byte("k")}}}}, func(p broker.Produced) { got = p })
	return got
}

// eventually produces until it works.
func eventually(t *testing.T, c *broker.Client, tp broker.TopicPartition) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for p := one(c, ctx, tp); p.Err != nil; p = one(c, ctx, tp) {
		if fault.ClassOf(p.Err) != fault.Unavailable || ctx.Err() != nil {
			t.Fatalf("produce to %v: %v", tp, p.Err)
		}
	}
}

func TestContractOnThreeBrokers(t *testing.T) {
	t.Parallel()
	brokertest.Suite(t, func(t *testing.T) brokertest.Subject {
		cluster := brokertest.Embedded(t, kfake.NumBrokers(3))
		cfg := broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 3, ProduceTimeout: time.Second,
			RebalanceTimeout: 2 * time.Second, SessionTimeout: 6 * time.Second, MaxWait: 5 * time.Second, Compression: "zstd"}
		return brokertest.Subject{Log: open(t, cfg), Trim: brokertest.Trimmer(t, cfg), Delete: brokertest.Deleter(t, cfg)}
	})
}

func TestEveryCompression(t *testing.T) {
	cfg := brokertest.Fresh(t)
	for i, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		cfg.Compression = codec
		c := open(t, cfg)
		if err := c.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 1}}); err != nil {
			t.Fatal(err)
		}
		var records []broker.Record
		for n := range 100 {
			records = append(records, broker.Record{Key: []byte("k"), Value: fmt.Appendf(nil, "%s %d %s", codec, n, strings.Repeat("x", n*100))})
		}
		c.Produce(t.Context(), []broker.Batch{{TopicPartition: a(0), Records: records}}, func(p broker.Produced) {
			if p.Err != nil || p.Base != int64(100*i) {
				t.Errorf("%s: %+v", codec, p)
			}
		})
		fetched, err := c.Fetch(t.Context(), []broker.Position{{TopicPartition: a(0), Offset: int64(100*i + 40)}})
		if err != nil || len(fetched[0].Records) != 60 || !bytes.Equal(fetched[0].Records[0].Value, records[40].Value) {
			t.Errorf("%s: brought %d records, %v; want the last 60 of the batch", codec, len(fetched[0].Records), err)
		}
	}
}

// A leader with nothing to say must not hold back the records of another, nor be asked again for every one of them.
func TestQuietLeadersDoNotHoldRecordsBack(t *testing.T) {
	cluster, c := three(t, broker.Config{MaxWait: 5 * time.Second})
	for p := range 3 { // until it knows where the leaders are now
		eventually(t, c, a(p))
	}
	offset := int64(1)
	var bells atomic.Int64
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1, When: func(r kmsg.Request) bool {
		if f := r.(*kmsg.FetchRequest); f.MaxWaitMillis > 0 && f.Topics[0].Partitions[0].Partition != 0 {
			bells.Add(1)
		}
		return true
	}})
	for range 20 {
		arrived := make(chan broker.Fetched)
		go func() {
			for {
				fetched, err := c.Fetch(t.Context(), []broker.Position{{TopicPartition: a(0), Offset: offset}, {TopicPartition: a(1), Offset: 1}, {TopicPartition: a(2), Offset: 1}})
				if err != nil {
					return
				}
				for _, f := range fetched {
					if len(f.Records) > 0 {
						arrived <- f
						return
					}
				}
			}
		}()
		eventually(t, c, a(0))
		select {
		case f := <-arrived:
			offset = f.Next
		case <-time.After(4 * time.Second): // less than MaxWait
			t.Fatal("the record waited for the leaders that have none")
		}
	}
	if n := bells.Load(); n > 12 {
		t.Errorf("%d long polls were sent to the two quiet leaders while 20 records arrived elsewhere", n)
	}
}

func TestFollowsALeaderThatMoves(t *testing.T) {
	t.Parallel()
	cluster, c := three(t, broker.Config{})
	for round := range 6 {
		if err := cluster.MoveTopicPartition("a", 1, int32(round%3)); err != nil {
			t.Fatal(err)
		}
		eventually(t, c, a(1))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for next := int64(0); next < 6; {
		fetched, err := c.Fetch(ctx, []broker.Position{{TopicPartition: a(1), Offset: next}, {TopicPartition: a(0)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fetched {
			if f.TopicPartition == a(1) {
				next = f.Next
			}
		}
		if err := cluster.MoveTopicPartition("a", 1, int32(next%3)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProduceClasses(t *testing.T) {
	cluster, c := three(t, broker.Config{})
	for class, answers := range map[fault.Class][]*kerr.Error{
		fault.Unavailable: {kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.NotLeaderForPartition,
			kerr.LeaderNotAvailable, kerr.KafkaStorageError, kerr.CorruptMessage, kerr.UnknownServerError, kerr.ThrottlingQuotaExceeded},
		fault.Permanent: {kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.TopicAuthorizationFailed,
			kerr.InvalidTimestamp, kerr.PolicyViolation},
	} {
		for _, answer := range answers {
			h := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "a", Partitions: []int32{0}, Err: answer})
			if p := one(c, t.Context(), a(0)); fault.ClassOf(p.Err) != class || p.Err == nil {
				t.Errorf("%s: error %v of class %v, want %v", answer.Message, p.Err, fault.ClassOf(p.Err), class)
			}
			h.Remove()
		}
	}
}

// An answer that does not come is an unknown outcome, and a caller who stops waiting gets it at once.
func TestProduceWithoutAnAnswer(t *testing.T) {
	cluster, c := three(t, broker.Config{})
	sent := make(chan struct{}, 1)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		sent <- struct{}{}
		return nil, nil, true
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-sent; cancel() }()
	began := time.Now()
	if p := one(c, ctx, a(0)); fault.ClassOf(p.Err) != fault.Unavailable || time.Since(began) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(began), p.Err)
	}
	eventually(t, c, a(1))
}

func TestABrokerThatIsGoneIsWaitedFor(t *testing.T) {
	var logged bytes.Buffer
	var mu sync.Mutex
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(locked{&mu, &logged}, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })

	dir := t.TempDir()
	cluster := brokertest.Embedded(t, kfake.DataDir(dir))
	_, port, _ := net.SplitHostPort(cluster.ListenAddrs()[0])
	n, _ := strconv.Atoi(port)
	c := open(t, broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 1})
	if err := c.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, c, a(0))
	cluster.Close()
	for range 5 {
		if p := one(c, t.Context(), a(0)); fault.ClassOf(p.Err) != fault.Unavailable {
			t.Fatalf("produce to nobody: %v", p.Err)
		}
		fetched, err := c.Fetch(t.Context(), []broker.Position{{TopicPartition: a(0)}})
		for _, f := range fetched {
			err = f.Err
		}
		if fault.ClassOf(err) != fault.Unavailable {
			t.Fatalf("fetch from nobody: %v", err)
		}
		if _, err := c.Ends(t.Context(), []broker.TopicPartition{a(0)}); fault.ClassOf(err) != fault.Unavailable {
			t.Fatalf("ends of nobody: %v", err)
		}
		if err := c.Check(t.Context(), []broker.Topic{{Name: "a", Partitions: 1}}); fault.ClassOf(err) != fault.Unavailable {
			t.Fatalf("check of nobody: %v", err)
		}
	}
	brokertest.Embedded(t, kfake.DataDir(dir), kfake.Ports(n))
	eventually(t, c, a(0))
	fetched, err := c.Fetch(t.Context(), []broker.Position{{TopicPartition: a(0)}})
	if err != nil || len(fetched[0].Records) != 2 {
		t.Errorf("after the restart: %+v, %v", fetched, err)
	}
	mu.Lock()
	defer mu.Unlock()
	text := logged.String()
	if strings.Count(text, "waiting for kafka") != 1 || strings.Count(text, "kafka is back") != 1 || !strings.Contains(text, port) {
		t.Errorf("want one line when it goes and one when it is back:\n%s", text)
	}
}

type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	_, c := three(t, broker.Config{MaxWait: 5 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	began, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		close(began)
		_, _ = c.Fetch(ctx, []broker.Position{{TopicPartition: a(0)}, {TopicPartition: a(1)}, {TopicPartition: a(2)}})
	}()
	<-began
	cancel()
	<-ended
	start := time.Now()
	if err := c.Close(); err != nil || time.Since(start) > 4*time.Second {
		t.Errorf("close took %v: %v", time.Since(start), err)
	}
}

// A broker hears of a new topic later than the one that created it: Provision waits for it.
func TestProvisionWaitsForBrokersThatDoNotKnowTheTopicYet(t *testing.T) {
	cluster := brokertest.Embedded(t)
	c := open(t, broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 1})
	unknown := func(key kmsg.Key, count int) *kfake.FaultHandle {
		return cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Count: count, Err: kerr.UnknownTopicOrPartition})
	}
	asked, read := unknown(kmsg.Metadata, 3), unknown(kmsg.DescribeConfigs, 2)
	if err := c.Provision(t.Context(), []broker.Topic{{Name: "new", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	if asked.Hits() != 3 || read.Hits() != 2 {
		t.Errorf("%d of 3 and %d of 2 answers knew no topic", asked.Hits(), read.Hits())
	}
	if p := one(c, t.Context(), broker.TopicPartition{Topic: "new"}); p.Err != nil {
		t.Error(p.Err)
	}
}
