package broker

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/broker/internal/wire"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Times of every request. A caller's context can end it sooner.
const (
	// answerWithin is what a broker gets beyond the time that it was asked to wait.
	answerWithin = 5 * time.Second
	// refreshAtMost bounds how often the cluster's metadata is asked for anew when brokers say that it is stale.
	refreshAtMost = 250 * time.Millisecond
	// failurePause keeps callers that try again at once from doing so in a tight loop.
	failurePause = 100 * time.Millisecond
)

// cluster sends requests to the brokers of a Kafka cluster.
//
// kafka-go's Transport keeps the connections and the cluster's metadata, and sends a request to the broker that it is
// for. It refreshes the metadata slowly, and not when a broker answers that it is wrong; dropping its connections is
// what makes it ask again.
type cluster struct {
	addr      net.Addr // of the brokers to start from
	transport *kafka.Transport
	outage    outage

	mu        sync.Mutex
	refreshed time.Time
}

// destination is a broker, the coordinator of a group, or anyone, to which kmsg's requests are sent (kmsg.Requestor).
type destination struct {
	cluster *cluster
	name    string // in errors and in the log
	address func(*exchange) kafka.Request
}

// broker is where requests about the logs that it leads go.
func (c *cluster) broker(id int32) destination {
	return destination{c, brokerName(id), func(x *exchange) kafka.Request { return toBroker{x, id} }}
}

// coordinator is where requests about a group go; kafka-go asks who that is, each time.
func (c *cluster) coordinator(group string) destination {
	return destination{c, "group " + group, func(x *exchange) kafka.Request { return toCoordinator{x, group} }}
}

// anyone is where requests go that every broker can answer: to one of those to start from.
func (c *cluster) anyone() destination {
	return destination{c, "metadata", func(x *exchange) kafka.Request { return x }}
}

// Request implements kmsg.Requestor.
func (d destination) Request(ctx context.Context, request kmsg.Request) (kmsg.Response, error) {
	var response kmsg.Response
	if err := d.send(ctx, request, func(r kmsg.Response) { response = r }); err != nil {
		return nil, err
	}
	return response, nil
}

// send calls read, on the goroutine of a connection, with the response; the bytes of records in it are lent until read
// returns. When send returns an error, read may have been called, or may be running. The request is encoded first: what
// is in it may be changed as soon as send returns, whatever becomes of it.
func (d destination) send(ctx context.Context, request kmsg.Request, read func(kmsg.Response)) error {
	x := &exchange{request: request, frame: wire.Encode(d.cluster.transport.ClientID, request), read: read}
	_, err := d.cluster.roundTrip(ctx, d.name, d.address(x))
	return err
}

// roundTrip sends one request. asked names who is asked, for the log of the process.
func (c *cluster) roundTrip(ctx context.Context, asked string, request kafka.Request) (kafka.Response, error) {
	response, err := c.transport.RoundTrip(ctx, c.addr, request)
	if err != nil {
		return nil, c.failed(asked, asked, err)
	}
	c.outage.answered(asked)
	return response, nil
}

// failed classifies an error of kafka-go. When no answer came it also makes the transport look for the brokers again,
// and says so in the log.
func (c *cluster) failed(asked, doing string, err error) error {
	classified := classify(doing, err)
	if network(err) {
		c.refreshAfter(err)
		if fault.ClassOf(classified) == fault.Unavailable {
			c.outage.failed(asked, err)
		}
	}
	return classified
}

// refreshAfter is refresh, but after a request that could not wait it leaves connections that are being made the time
// that they may take: with TLS and a login, at a broker that everybody asks at once, that is longer than the requests
// of a door wait, and each of these would drop them again.
func (c *cluster) refreshAfter(err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		c.refreshEvery(answerWithin)
	} else {
		c.refresh()
	}
}

// refresh makes the transport ask for the metadata of the cluster before its next request. It does not block.
func (c *cluster) refresh() { c.refreshEvery(refreshAtMost) }

// refreshEvery refreshes, unless that was done less than a time ago.
func (c *cluster) refreshEvery(least time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.refreshed) >= least {
		c.refreshed = time.Now()
		c.transport.CloseIdleConnections()
	}
}

// pause waits; it returns early when ctx ends.
func pause(ctx context.Context, d time.Duration) { _ = wait.Sleep(ctx, d) } // who called looks at ctx

// compareLogs orders logs by topic, then by partition.
func compareLogs(a, b TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return a.Partition - b.Partition
}
