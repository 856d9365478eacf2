package broker

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/troupe-dev/troupe/pkg/fault"
)

const (
	// answerWithin is what a broker gets beyond the time that it was asked to wait.
	answerWithin = 5 * time.Second
	// refreshAtMost bounds how often the layout of the cluster is asked for anew when brokers say that it is stale.
	refreshAtMost = 250 * time.Millisecond
	// failurePause keeps callers that try again at once from doing so in a tight loop.
	failurePause = 100 * time.Millisecond
)

// Client is the Log of a Kafka cluster. It is safe for concurrent use.
//
// kafka-go has two network stacks: its Transport (all requests here) and its Dialer (the consumer group). Transport knows
// the cluster's layout and sends a request to the leader of the logs in it. Its copy of the layout is refreshed slowly and
// not when a broker answers that it is wrong; dropping its connections is what makes it ask again.
type Client struct {
	cfg         Config
	addr        net.Addr
	transport   *kafka.Transport
	dialer      *kafka.Dialer
	admin       *kafka.Client
	compression protocol.Attributes
	outage      outage
	turn        atomic.Uint32 // which log comes first in the next fetch
	surplus     sync.Map      // of each topic, as it was said: partitions beyond those configured

	life   context.Context // of the requests that outlive the call that sent them
	end    context.CancelFunc
	mu     sync.Mutex
	closed bool
	polls  sync.WaitGroup
	bells  map[int32][]*poll // long polls whose answer nobody has seen yet, by leader

	refreshing sync.Mutex
	refreshed  time.Time
}

var _ Log = (*Client)(nil)

// Open returns a client after checking cfg (class Invalid, naming the variable). It opens no connection.
func Open(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	tlsConfig, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	mechanism, err := cfg.sasl()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, addr: kafka.TCP(cfg.Brokers...), compression: compressions[cfg.Compression],
		outage: outage{brokers: cfg.Brokers}, bells: map[int32][]*poll{}}
	c.life, c.end = context.WithCancel(context.Background())
	dial := (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	c.transport = &kafka.Transport{Dial: dial, DialTimeout: answerWithin, IdleTimeout: time.Minute, MetadataTTL: 5 * time.Second,
		ClientID: cfg.ClientID, TLS: tlsConfig, SASL: mechanism, Context: c.life}
	c.dialer = &kafka.Dialer{DialFunc: dial, Timeout: answerWithin, ClientID: cfg.ClientID, TLS: tlsConfig, SASLMechanism: mechanism}
	c.admin = &kafka.Client{Addr: c.addr, Transport: c.transport, Timeout: 2 * answerWithin}
	return c, nil
}

// Close ends what is in flight and waits for it. No method may be called after it.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.polls.Wait()
	c.transport.CloseIdleConnections()
	return nil
}

// roundTrip sends one request. asked names who is asked, for the log.
func (c *Client) roundTrip(ctx context.Context, asked string, request kafka.Request) (kafka.Response, error) {
	response, err := c.transport.RoundTrip(ctx, c.addr, request)
	if err != nil {
		return nil, c.failed(asked, asked, err)
	}
	c.outage.answered(asked)
	return response, nil
}

// failed classifies an error of kafka-go. When no answer came it also makes the transport look for the brokers again, and
// says so in the log.
func (c *Client) failed(asked, doing string, err error) error {
	classified := classify(doing, err)
	if network(err) {
		c.refresh()
		if fault.ClassOf(classified) == fault.Unavailable {
			c.outage.failed(asked, err)
		}
	}
	return classified
}

// refresh makes the transport ask for the layout of the cluster before its next request. It does not block.
func (c *Client) refresh() {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	if time.Since(c.refreshed) >= refreshAtMost {
		c.refreshed = time.Now()
		c.transport.CloseIdleConnections()
	}
}

// layout is what the transport knows of the cluster: its brokers, and the topics that exist, sorted.
type layout struct {
	brokers []int32
	topics  []metadata.ResponseTopic
}

// layout comes from the transport's memory, except for the first request after a refresh. It never creates a topic.
func (c *Client) layout(ctx context.Context) (layout, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerWithin)
	defer cancel()
	r, err := c.roundTrip(ctx, "layout", &metadata.Request{})
	if err != nil {
		c.refresh() // an error is remembered too
		return layout{}, err
	}
	l := layout{topics: r.(*metadata.Response).Topics}
	for _, b := range r.(*metadata.Response).Brokers {
		l.brokers = append(l.brokers, b.NodeID)
	}
	c.outage.alive(func(name string) bool {
		return slices.ContainsFunc(l.brokers, func(id int32) bool { return brokerName(id) == name })
	})
	return l, nil
}

func brokerName(id int32) string { return "broker " + strconv.Itoa(int(id)) }

// topic finds a topic; an error of the broker about it counts as its absence.
func (l layout) topic(name string) (metadata.ResponseTopic, bool) {
	i, ok := slices.BinarySearchFunc(l.topics, name, func(t metadata.ResponseTopic, name string) int {
		return strings.Compare(t.Name, name)
	})
	if !ok || l.topics[i].ErrorCode != 0 {
		return metadata.ResponseTopic{}, false
	}
	return l.topics[i], true
}

// leader returns the broker that leads a log of a topic, or an Unavailable error.
func (l layout) leader(t metadata.ResponseTopic, tp TopicPartition) (int32, error) {
	i := tp.Partition // where it is, unless the answer leaves some out
	if i < 0 || i >= len(t.Partitions) || t.Partitions[i].PartitionIndex != int32(i) {
		i = slices.IndexFunc(t.Partitions, func(p metadata.ResponsePartition) bool { return p.PartitionIndex == int32(tp.Partition) })
	}
	if i < 0 {
		return -1, fault.New(fault.Unavailable, "topic %s has no partition %d", tp.Topic, tp.Partition)
	}
	if leader := t.Partitions[i].LeaderID; slices.Contains(l.brokers, leader) {
		return leader, nil
	}
	return -1, fault.New(fault.Unavailable, "%s/%d has no leader", tp.Topic, tp.Partition)
}

// led is what one broker leads.
type led[T any] struct {
	leader int32
	of     []T
}

// byLeader groups logs by the broker that leads them; orphans are those without one, and why. It is fast when logs of one topic are
// together.
func byLeader[T any](l layout, all []T, of func(T) TopicPartition) (groups []led[T], orphans map[TopicPartition]error) {
	var t metadata.ResponseTopic
	for _, x := range all {
		tp, known := of(x), true
		if t.Name != tp.Topic {
			t, known = l.topic(tp.Topic)
		}
		leader, err := int32(-1), error(nil)
		if known {
			leader, err = l.leader(t, tp)
		} else {
			err = fault.New(fault.Unavailable, "topic %s does not exist (yet)", tp.Topic)
		}
		if err != nil {
			if orphans == nil {
				orphans = map[TopicPartition]error{}
			}
			orphans[tp] = err
			continue
		}
		i := slices.IndexFunc(groups, func(g led[T]) bool { return g.leader == leader })
		if i < 0 {
			i = len(groups)
			groups = append(groups, led[T]{leader, make([]T, 0, len(all))})
		}
		groups[i].of = append(groups[i].of, x)
	}
	return groups, orphans
}

// pause waits; it returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func compareLogs(a, b TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return a.Partition - b.Partition
}
