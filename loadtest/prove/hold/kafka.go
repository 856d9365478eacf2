package hold

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"

	"github.com/troupe-dev/troupe/pkg/wait"
)

// Kafka is a proxy in front of a Kafka cluster. It has one address per broker: those that answers name to the clients are
// its own, so that clients stay behind it. Logins pass as they are. A produce request with acks=0, which nobody answers,
// does not.
type Kafka struct {
	proxy[Request] // with a door for each broker
	upstream       []string
	faults         faults

	unreadable atomic.Pointer[string] // a topic; nil: none
}

// NewKafka returns a proxy for the cluster behind these brokers (host:port), which need not run yet. Close it.
func NewKafka(upstream ...string) *Kafka {
	k := &Kafka{upstream: slices.Clone(upstream)}
	k.doors = newDoors(func(broker string, client net.Conn) {
		k.relay(client, broker, readSized, readSized, func(frame []byte, s server) ([]byte, bool) {
			return k.answer(client, frame, s)
		})
	})
	return k
}

// Addrs are what clients start from.
func (k *Kafka) Addrs() ([]string, error) {
	var addrs []string
	for _, broker := range k.upstream {
		addr, err := k.Addr(broker)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// answer is that to one request, which is held back or damaged meanwhile.
func (k *Kafka) answer(client net.Conn, frame []byte, s server) ([]byte, bool) {
	h, err := parseHeader(frame[4:])
	if err != nil {
		return nil, false
	}
	r, err := h.request()
	if err != nil {
		return nil, false
	}
	f := k.faults.strike(r)
	if f.Late > 0 {
		_ = client.Close()
	}
	if wait.Sleep(k.life, f.Delay+f.Late) != nil {
		return nil, false
	}
	if no := refusal(r.Body, f.Err); no != nil {
		return respond(h.correlation, no), true
	}
	answer, ok := k.exchange(r, frame, s.ask, func([]byte) bool { return !f.LoseAnswer })
	if !ok || f.LoseAnswer {
		return nil, false
	}
	answer, err = k.rewrite(h.key, h.version, answer)
	return answer, err == nil
}

// readSized reads one request or response with its size before it.
func readSized(r *bufio.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(size[:])))
	if n < 4 || n > maxFrame {
		return nil, fmt.Errorf("a Kafka frame of %d bytes", n)
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}
