package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// fetchVersion is the version of the Fetch API that is spoken here: the latest that kafka-go can write. Kafka has it since 2.3.
const fetchVersion = 11

// exchange is a fetch request whose answer is read here. kafka-go finds the leader, keeps the connections and writes the request;
// reading answers byte by byte, with two allocations for each of a record's dozen headers, was a fifth of a participant's time
// (docs/performance.md).
type exchange struct {
	*fetch.Request
	clientID string
	version  int16 // that the broker and kafka-go agreed on
}

var _ protocol.RawExchanger = (*exchange)(nil)

// Required implements protocol.RawExchanger.
func (x *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	x.version = versions[protocol.Fetch]
	return true
}

// correlation is the number of every exchange: a connection has one at a time, and is closed when it fails.
const correlation = 1

// RawExchange implements protocol.RawExchanger. After an error kafka-go closes the connection.
func (x *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if x.version < fetchVersion {
		return nil, fmt.Errorf("the broker speaks version %d of Fetch, not %d: %w", x.version, fetchVersion, kafka.UnsupportedVersion)
	}
	if err := protocol.WriteRequest(rw, fetchVersion, correlation, x.clientID, x.Request); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return nil, whole(err)
	}
	size := int(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if id := binary.BigEndian.Uint32(head[4:]); id != correlation || size < 0 {
		return nil, fmt.Errorf("the answer to a fetch has number %d, not %d, and %d bytes", id, correlation, size)
	}
	a := fetchAnswers.Get().(*fetchAnswer)
	if err := a.fill(rw, size); err != nil {
		a.free()
		return nil, whole(err)
	}
	if err := a.read(); err != nil {
		a.free()
		return nil, err
	}
	return a, nil
}

// fill reads the frame. What is announced beyond the most that is asked for gets its room as it comes: the size may be wrong.
func (a *fetchAnswer) fill(r io.Reader, size int) error {
	for len(a.frame) < size {
		have := len(a.frame)
		n := min(size-have, max(maxAnswerBytes, have))
		a.frame = slices.Grow(a.frame, n)[:have+n]
		if _, err := io.ReadFull(r, a.frame[have:]); err != nil {
			return err
		}
	}
	return nil
}

// whole is the error of an answer that was cut short.
func whole(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // as the contract of io.Reader says
		return io.ErrUnexpectedEOF
	}
	return err
}

// fetchAnswer is the answer to a fetch; what it says of each log points into frame. It is lent, until its records are copied out.
type fetchAnswer struct {
	frame []byte
	code  int16
	logs  []logAnswer
}

var fetchAnswers = sync.Pool{New: func() any { return new(fetchAnswer) }}

// logAnswer is what an answer says of one log.
type logAnswer struct {
	TopicPartition
	code       int16
	start, end int64
	aborted    []abortedTransaction
	batches    []byte
}

// minLogBytes is the length of what an answer says of a log that has nothing new.
const minLogBytes = 42

// ApiKey implements protocol.Message.
func (*fetchAnswer) ApiKey() protocol.ApiKey { return protocol.Fetch }

// free gives the answer back. Nothing in it may be used after it.
func (a *fetchAnswer) free() {
	clear(a.logs)
	a.frame, a.code, a.logs = a.frame[:0], 0, a.logs[:0]
	fetchAnswers.Put(a)
}

// read takes the frame apart: a Fetch response of fetchVersion (https://kafka.apache.org/protocol#The_Messages_Fetch).
func (a *fetchAnswer) read() error {
	r := wire{b: a.frame}
	r.int32() // throttled for
	a.code = r.int16()
	r.int32() // session
	for range r.count() {
		topic := string(r.bytes(int(r.int16())))
		logs := r.count()
		a.logs = slices.Grow(a.logs, min(logs, len(r.b)/minLogBytes))
		for range logs {
			l := logAnswer{TopicPartition: TopicPartition{topic, int(r.int32())}, code: r.int16(), end: r.int64()}
			r.int64() // last stable offset
			l.start = r.int64()
			for range r.count() {
				l.aborted = append(l.aborted, abortedTransaction{producer: r.int64(), first: r.int64()})
			}
			r.int32() // preferred replica
			l.batches = r.bytes(int(r.int32()))
			a.logs = append(a.logs, l)
		}
	}
	if r.short {
		return fmt.Errorf("the answer to a fetch is malformed: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// wire takes bytes apart as Kafka's protocol puts them together. Where there is not enough, all else is zero, and short says so.
type wire struct {
	b     []byte
	short bool
}

// bytes takes n of them; of none, and of null, which has a negative length, nil.
func (w *wire) bytes(n int) []byte {
	if n > len(w.b) {
		w.b, w.short = nil, true
	}
	if n <= 0 || w.short {
		return nil
	}
	taken := w.b[:n:n]
	w.b = w.b[n:]
	return taken
}

func (w *wire) int8() int8 {
	if b := w.bytes(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (w *wire) int16() int16 {
	if b := w.bytes(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (w *wire) int32() int32 {
	if b := w.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (w *wire) int64() int64 {
	if b := w.bytes(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// count is the length of an array, not more than there are bytes left.
func (w *wire) count() int {
	n := int(w.int32())
	if n > len(w.b) {
		w.b, w.short = nil, true
		return 0
	}
	return max(0, n)
}

func (w *wire) varint() int64 {
	if len(w.b) > 0 && w.b[0] < 0x80 { // as most lengths
		v := int64(w.b[0])
		w.b = w.b[1:]
		return v>>1 ^ -(v & 1)
	}
	v, n := binary.Varint(w.b)
	if n <= 0 {
		w.b, w.short = nil, true
		return 0
	}
	w.b = w.b[n:]
	return v
}
