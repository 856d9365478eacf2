package hold

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka is a proxy in front of a Kafka cluster. It has one address per broker: those that answers name to the clients are
// its own, so that clients stay behind it. Logins pass as they are.
type Kafka struct {
	upstream []string
	doors    *doors
	gate     gate[Request]
	faults   faults

	unreadable atomic.Pointer[string] // a topic; nil: none
}

// NewKafka returns a proxy for the cluster behind these brokers (host:port), which need not run yet. Close it.
func NewKafka(upstream ...string) *Kafka {
	k := &Kafka{upstream: slices.Clone(upstream)}
	k.doors = newDoors(k.serve)
	return k
}

// Addrs are what clients start from.
func (k *Kafka) Addrs() ([]string, error) {
	var addrs []string
	for _, broker := range k.upstream {
		addr, err := k.doors.open(broker)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// Hold keeps back the next request that matches, and what comes after it on the same connection. match must not block.
func (k *Kafka) Hold(match func(Request) bool, when When) *Held { return k.gate.arm(match, when) }

// Close ends all connections and waits for them. What is held is dropped.
func (k *Kafka) Close() { k.doors.close() }

func (k *Kafka) serve(broker string, client net.Conn) {
	server, done, err := k.doors.dial(broker)
	if err != nil {
		return
	}
	defer done()
	s := &kafkaSession{k: k, client: client, server: server}
	var answers sync.WaitGroup
	answers.Go(s.down)
	s.up()
	finish(server)
	answers.Wait()
}

// kafkaSession is one connection. Brokers answer the requests of a connection in their order.
type kafkaSession struct {
	k              *Kafka
	client, server net.Conn

	mu    sync.Mutex
	queue []expected // requests not answered, in order
	over  bool       // nothing is read from the server any more
}

// expected is the answer to one request.
type expected struct {
	key, version int16
	request      Request
	trap         *trap[Request] // keeps the answer
	lose         bool           // the connection ends instead of it
	made         []byte         // the answer, made here: the broker was not asked
}

// up passes requests on.
func (s *kafkaSession) up() {
	in := bufio.NewReaderSize(s.client, 64<<10)
	for {
		frame, err := readSized(in)
		if err != nil {
			return
		}
		h, err := parseHeader(frame[4:])
		if err != nil {
			return
		}
		e := expected{key: h.key, version: h.version}
		if !s.k.gate.idle() || !s.k.faults.idle() {
			if e.request, err = h.request(); err != nil {
				return
			}
			if !s.interfere(&e, h) {
				_, _ = s.client.Close(), s.server.Close()
				return
			}
		}
		if !s.send(frame, h, e) {
			return
		}
	}
}

// interfere holds a request back or damages it. false: both connections end.
func (s *kafkaSession) interfere(e *expected, h header) bool {
	cut := func() { _ = s.client.Close() }
	if !s.k.faults.apply(s.k.doors.life, e, h, cut) {
		return false
	}
	if e.made != nil {
		return true
	}
	t := s.k.gate.catch(e.request)
	if t != nil && t.when == Before {
		return t.held.stay(e.request.hit(), s.k.doors.life.Done(), cut)
	}
	e.trap = t
	return true
}

// send passes a request on, unless its answer was made here, and remembers what to do with the answer.
func (s *kafkaSession) send(frame []byte, h header, e expected) bool {
	if e.made == nil && h.key == kmsg.Produce.Int16() && unanswered(h) {
		_, err := s.server.Write(frame)
		return err == nil
	}
	s.mu.Lock()
	if e.made != nil && len(s.queue) == 0 {
		defer s.mu.Unlock()
		_, err := s.client.Write(e.made)
		return err == nil
	}
	s.queue = append(s.queue, e)
	over := s.over
	s.mu.Unlock()
	if over {
		s.rearm()
		return false
	}
	if e.made != nil {
		return true
	}
	_, err := s.server.Write(frame)
	return err == nil
}

// unanswered is true for a produce request with acks=0.
func unanswered(h header) bool {
	body, err := h.decode()
	return err == nil && body.(*kmsg.ProduceRequest).Acks == 0
}

// down passes answers on; a client that is gone does not keep it from reading them.
func (s *kafkaSession) down() {
	defer func() {
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		s.rearm() // first: the client may come again at once
		_ = s.client.Close()
	}()
	in := bufio.NewReaderSize(s.server, 64<<10)
	for {
		frame, err := readSized(in)
		if err != nil {
			return
		}
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.mu.Unlock()
			return // an answer to nothing: not Kafka
		}
		e := s.queue[0] // stays there until it is answered, so that nothing overtakes it
		s.mu.Unlock()
		if frame, err = s.answer(e, frame); err != nil {
			return
		}
		s.mu.Lock()
		_, _ = s.client.Write(frame)
		s.queue = s.queue[1:]
		for len(s.queue) > 0 && s.queue[0].made != nil {
			_, _ = s.client.Write(s.queue[0].made)
			s.queue = s.queue[1:]
		}
		s.mu.Unlock()
	}
}

// answer returns what the client gets; an error ends the connection.
func (s *kafkaSession) answer(e expected, frame []byte) ([]byte, error) {
	if e.lose {
		_, _ = s.client.Close(), s.server.Close()
		return nil, net.ErrClosed
	}
	if e.trap != nil && !e.trap.held.stay(e.request.hit(), s.k.doors.life.Done(), func() { _ = s.client.Close() }) {
		_, _ = s.client.Close(), s.server.Close()
		return nil, net.ErrClosed
	}
	return s.k.rewrite(e.key, e.version, frame)
}

// rearm arms again what waited for answers that will not come.
func (s *kafkaSession) rearm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.queue {
		if e.trap != nil {
			select {
			case <-e.trap.held.hit:
			default:
				s.k.gate.add(e.trap)
			}
		}
	}
	s.queue = nil
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
