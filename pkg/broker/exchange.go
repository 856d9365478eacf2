package broker

import (
	"fmt"
	"io"
	"strconv"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/troupe-dev/troupe/pkg/broker/internal/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// exchange is one request of kmsg and what becomes of its response. kafka-go finds the broker and keeps the
// connections; what goes over them is written and read by package wire (docs/adr/0007).
type exchange struct {
	request kmsg.Request
	frame   *wire.Frame         // of the request
	read    func(kmsg.Response) // gets the response, whose records are lent
	agreed  bool                // the broker speaks the request's version
}

var _ protocol.RawExchanger = (*exchange)(nil)

// ApiKey implements protocol.Message.
func (x *exchange) ApiKey() protocol.ApiKey { return protocol.ApiKey(x.request.Key()) }

// Required implements protocol.RawExchanger. versions are the latest that the broker and kafka-go both know; of one
// that kafka-go does not know the broker will speak for itself.
func (x *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	x.agreed = versions[x.ApiKey()] >= min(x.request.GetVersion(), x.ApiKey().MaxVersion())
	return true
}

// RawExchange implements protocol.RawExchanger, on the goroutine of a connection. After an error kafka-go closes that.
func (x *exchange) RawExchange(conn io.ReadWriter) (protocol.Message, error) {
	if !x.agreed {
		return nil, fmt.Errorf("the broker does not speak version %d of %s: %w", x.request.GetVersion(), x.ApiKey(),
			kafka.UnsupportedVersion)
	}
	if err := x.frame.RoundTrip(conn, x.read); err != nil {
		return nil, fmt.Errorf("%s: %w", x.ApiKey(), err)
	}
	return x, nil
}

// toBroker is an exchange with one broker, which leads the partitions in it.
type toBroker struct {
	*exchange
	id int32
}

// Broker implements protocol.BrokerMessage.
func (x toBroker) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	if b, ok := cluster.Brokers[x.id]; ok {
		return b, nil
	}
	return protocol.Broker{ID: -1}, fmt.Errorf("%s has left the cluster", brokerName(x.id))
}

// toCoordinator is an exchange with the coordinator of a group.
type toCoordinator struct {
	*exchange
	group string
}

// Group implements protocol.GroupMessage.
func (x toCoordinator) Group() string { return x.group }

// brokerName is what a broker is called in errors and in the log.
func brokerName(id int32) string { return "broker " + strconv.Itoa(int(id)) }
