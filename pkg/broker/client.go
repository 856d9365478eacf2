package broker

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// answerWithin is what a broker gets beyond the time that it was asked to wait.
	answerWithin = 5 * time.Second
	// refreshAtMost bounds how often the cluster's metadata is asked for anew when brokers say that it is stale.
	refreshAtMost = 250 * time.Millisecond
	// failurePause keeps callers that try again at once from doing so in a tight loop.
	failurePause = 100 * time.Millisecond
)

// Client is the Log of a Kafka cluster. It is safe for concurrent use.
//
// kafka-go has two network stacks: its Transport (all requests here) and its Dialer (the consumer group). Transport knows
// the cluster's metadata and sends a request to the leader of the logs in it. Its copy of the metadata is refreshed slowly
// and not when a broker answers that it is wrong; dropping its connections is what makes it ask again.
type Client struct {
	cfg       Config
	addr      net.Addr
	transport *kafka.Transport
	dialer    *kafka.Dialer
	admin     *kafka.Client
	outage    outage
	turn      atomic.Uint32 // of Fetch requests: which of their logs comes first
	polls     polls
	surplus   sync.Map // of each topic, as it was said: partitions beyond those configured

	life context.Context // of the requests that outlive the call that sent them
	end  context.CancelFunc

	refreshing sync.Mutex
	refreshed  time.Time
}

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
	c := &Client{cfg: cfg, addr: kafka.TCP(cfg.Brokers...), outage: outage{brokers: cfg.Brokers},
		polls: polls{long: map[int32][]*poll{}}}
	c.life, c.end = context.WithCancel(context.Background())
	dial := (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	c.transport = &kafka.Transport{Dial: dial, DialTimeout: answerWithin, IdleTimeout: time.Minute,
		MetadataTTL: 5 * time.Second, ClientID: cfg.ClientID, TLS: tlsConfig, SASL: mechanism, Context: c.life}
	c.dialer = &kafka.Dialer{DialFunc: dial, Timeout: answerWithin, ClientID: cfg.ClientID, TLS: tlsConfig,
		SASLMechanism: mechanism}
	c.admin = &kafka.Client{Addr: c.addr, Transport: c.transport, Timeout: 2 * answerWithin}
	return c, nil
}

// Close ends what is in flight and waits for it. No method may be called after it.
func (c *Client) Close() error {
	c.polls.close()
	c.end()
	c.polls.running.Wait()
	c.transport.CloseIdleConnections()
	return nil
}

// node is one broker; it sends kmsg's requests there (kmsg.Requestor).
type node struct {
	client *Client
	id     int32
}

// Request implements kmsg.Requestor.
func (n node) Request(ctx context.Context, request kmsg.Request) (kmsg.Response, error) {
	var response kmsg.Response
	if err := n.send(ctx, request, func(r kmsg.Response) { response = r }); err != nil {
		return nil, err
	}
	return response, nil
}

// send calls read, on another goroutine, with the response, whose records are lent. When it returns an error, read may
// have been called, or may be running.
func (n node) send(ctx context.Context, request kmsg.Request, read func(kmsg.Response)) error {
	x := &exchange{clientID: n.client.cfg.ClientID, request: request, read: read}
	_, err := n.client.roundTrip(ctx, brokerName(n.id), toBroker{x, n.id})
	return err
}

// coordinator is the broker that coordinates a group (kmsg.Requestor).
type coordinator struct {
	client *Client
	group  string
}

// Request implements kmsg.Requestor.
func (g coordinator) Request(ctx context.Context, request kmsg.Request) (kmsg.Response, error) {
	var response kmsg.Response
	x := &exchange{clientID: g.client.cfg.ClientID, request: request, read: func(r kmsg.Response) { response = r }}
	if _, err := g.client.roundTrip(ctx, "group "+g.group, toCoordinator{x, g.group}); err != nil {
		return nil, err
	}
	return response, nil
}

// roundTrip sends one request. asked names who is asked, for the log of the process.
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

// refresh makes the transport ask for the metadata of the cluster before its next request. It does not block.
func (c *Client) refresh() {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	if time.Since(c.refreshed) >= refreshAtMost {
		c.refreshed = time.Now()
		c.transport.CloseIdleConnections()
	}
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
