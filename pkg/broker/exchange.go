package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// exchange is a request to one broker that is written and whose answer is read here. kafka-go finds the broker and keeps the
// connections; its own way, by reflection and with an object for each field of a record, was a fifth of a participant's time
// (docs/performance.md).
type exchange struct {
	api     protocol.ApiKey
	version int16 // that is spoken here
	agreed  int16 // the latest that the broker and kafka-go both know
	leader  int32
	request *buffer // all of it; lent until it is sent
	answer  answered
}

// answered is what comes back. It is lent: after free nothing in it may be used.
type answered interface {
	protocol.Message
	// fill takes in size bytes.
	fill(r io.Reader, size int) error
	// read takes them apart.
	read() error
	free()
}

var _ protocol.RawExchanger = (*exchange)(nil)

// ApiKey implements protocol.Message.
func (x *exchange) ApiKey() protocol.ApiKey { return x.api }

// Broker implements protocol.BrokerMessage.
func (x *exchange) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	if b, ok := cluster.Brokers[x.leader]; ok {
		return b, nil
	}
	return protocol.Broker{ID: -1}, fmt.Errorf("%s has left the cluster", brokerName(x.leader))
}

// Required implements protocol.RawExchanger.
func (x *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	x.agreed = versions[x.api]
	return true
}

// correlation is the number of every exchange: a connection has one at a time, and is closed when it fails.
const correlation = 1

// RawExchange implements protocol.RawExchanger. After an error kafka-go closes the connection.
func (x *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if x.agreed < x.version {
		return nil, fmt.Errorf("the broker speaks version %d of %s, not %d: %w", x.agreed, x.api, x.version, kafka.UnsupportedVersion)
	}
	_, err := rw.Write(x.request.sized())
	x.request.free() // nobody waits with it for the answer
	if err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, whole(err)
	}
	size := int(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if id := binary.BigEndian.Uint32(head[4:]); id != correlation || size < 0 {
		return nil, fmt.Errorf("the answer to a %s has number %d, not %d, and %d bytes", x.api, id, correlation, size)
	}
	if err := whole(x.answer.fill(rw, size)); err != nil {
		x.answer.free()
		return nil, err
	}
	if err := x.answer.read(); err != nil {
		x.answer.free()
		return nil, fmt.Errorf("the answer to a %s is malformed: %w", x.api, err)
	}
	return x.answer, nil
}

// frame is the bytes of an answer behind its head.
type frame []byte

// fill reads them. What is announced beyond the most that is asked for gets its room as it comes: the size may be wrong.
func (f *frame) fill(r io.Reader, size int) error {
	for len(*f) < size {
		have := len(*f)
		n := min(size-have, max(maxAnswerBytes, have))
		*f = slices.Grow(*f, n)[:have+n]
		if _, err := io.ReadFull(r, (*f)[have:]); err != nil {
			return err
		}
	}
	return nil
}

// whole is the error of an answer that was cut short.
func whole(err error) error {
	if err == io.EOF { //nolint:errorlint // as the contract of io.Reader says
		return io.ErrUnexpectedEOF
	}
	return err
}
