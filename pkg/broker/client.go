package broker

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

// Client is the Log of a Kafka cluster. It is safe for concurrent use.
type Client struct {
	*cluster
	cfg     Config
	dialer  *kafka.Dialer // of consumer groups; all other requests go through the cluster
	admin   *kafka.Client
	turn    atomic.Uint32 // of Fetch requests: which of their logs comes first
	polls   polls
	surplus sync.Map // by topic: partitions beyond those configured, as the log has been told

	life context.Context // of the requests that outlive the call that sent them
	end  context.CancelFunc
}

// Open returns a client after checking cfg (class Invalid, naming the variable). It opens no connection.
func Open(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	mechanism, err := cfg.sasl()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, polls: polls{long: map[int32][]*poll{}}}
	c.life, c.end = context.WithCancel(context.Background())
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}
	dial := dialer.DialContext
	if cfg.TLS {
		dial = cfg.files().DialContext(dialer)
	}
	transport := &kafka.Transport{Dial: c.patient(dial), DialTimeout: answerWithin, IdleTimeout: time.Minute,
		MetadataTTL: 5 * time.Second, ClientID: cfg.ClientID, SASL: mechanism, Context: c.life}
	c.cluster = &cluster{addr: kafka.TCP(cfg.Brokers...), transport: transport, outage: outage{brokers: cfg.Brokers}}
	c.dialer = &kafka.Dialer{DialFunc: dial, Timeout: answerWithin, ClientID: cfg.ClientID, SASLMechanism: mechanism}
	c.admin = &kafka.Client{Addr: c.addr, Transport: transport, Timeout: 2 * answerWithin}
	return c, nil
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// patient dials on when the request that wanted the connection is given up: kafka-go keeps what comes of it for the
// next. Otherwise nobody gets in where TLS and a login take longer than the requests of a door wait.
func (c *Client) patient(dial dialFunc) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(c.life, answerWithin)
		defer cancel()
		return dial(ctx, network, addr)
	}
}

// Close ends what is in flight and waits for it. No method may be called after it.
func (c *Client) Close() error {
	c.polls.close()
	c.end()
	c.polls.running.Wait()
	c.transport.CloseIdleConnections()
	return nil
}
