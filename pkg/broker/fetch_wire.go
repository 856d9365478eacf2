package broker

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go/protocol"
)

// fetchVersion is the version of the Fetch API that is spoken here: the latest that kafka-go knows. Kafka has it since 2.3.
const fetchVersion = 11

// fetchRequest writes a request for all positions of a poll. It begins with another log each time, since the first ones get their bytes first.
func (c *Client) fetchRequest(p *poll) *buffer {
	n := len(p.positions)
	p.first = int(c.turn.Add(1)) % n
	at := func(i int) Position { return p.positions[(p.first+i)%n] }
	r := c.request(protocol.Fetch, fetchVersion)
	r.int32(-1) // a consumer, not a replica
	r.int32(int32(p.wait.Milliseconds()))
	r.int32(1) // bytes at least
	most, total := len(r.bytes), 0
	r.int32(0)  // bytes at most: below
	r.int8(1)   // nothing of transactions that are not committed
	r.int32(-1) // no session
	r.int32(-1) // nor an epoch of it
	r.topics(n, func(i int) string { return at(i).Topic }, func(i int) {
		from := at(i)
		size := from.MaxBytes
		if size <= 0 {
			size = defaultMaxBytes
		}
		total += size
		r.int32(int32(from.Partition))
		r.int32(-1) // epoch of the leader: unknown
		r.int64(from.Offset)
		r.int64(-1) // a replica's start of the log
		r.int32(int32(size))
	})
	r.int32(0)   // nothing is forgotten of a session
	r.string("") // no rack
	binary.BigEndian.PutUint32(r.bytes[most:], uint32(min(total, maxAnswerBytes)))
	return r
}

// fetchAnswer is the answer to a fetch; what it says of each log points into frame. It is lent, until its records are copied out.
type fetchAnswer struct {
	frame
	code int16
	logs []logAnswer
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
		topic := r.string()
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
		return io.ErrUnexpectedEOF
	}
	return nil
}
