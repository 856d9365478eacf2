package broker

import (
	"encoding/binary"
	"io"
	"math/bits"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// produceVersion is the version of the Produce API that is spoken here: the latest that kafka-go knows. Kafka has it since 2.4.
const produceVersion = 8

// produceRequest writes a request for batches of one leader.
func (c *Client) produceRequest(batches []Batch) (*buffer, error) {
	r := c.request(protocol.Produce, produceVersion)
	r.int16(-1) // no transaction
	r.int16(allInSync)
	r.int32(int32(c.cfg.ProduceTimeout.Milliseconds()))
	now := time.Now()
	var failed error
	r.topics(len(batches), func(i int) string { return batches[i].Topic }, func(i int) {
		r.int32(int32(batches[i].Partition))
		size := len(r.bytes)
		r.int32(0)
		if err := r.batch(batches[i].Records, c.compression, now); err != nil {
			failed = err
		}
		binary.BigEndian.PutUint32(r.bytes[size:], uint32(len(r.bytes)-size-4))
	})
	return r, failed
}

// batch writes a record batch (https://kafka.apache.org/documentation/#recordbatch). A record without a time is of now.
func (b *buffer) batch(records []Record, how protocol.Attributes, now time.Time) error {
	first, latest := millis(records[0].Time, now), int64(0)
	for i := range records {
		latest = max(latest, millis(records[i].Time, now))
	}
	begin := len(b.bytes)
	b.int64(0)  // the broker gives the offset
	b.int32(0)  // size: below
	b.int32(-1) // epoch of the leader
	b.int8(2)   // format
	b.int32(0)  // checksum: below
	b.int16(int16(how))
	b.int32(int32(len(records) - 1))
	b.int64(first)
	b.int64(latest)
	b.int64(-1) // no idempotent producer, nor its epoch and sequence
	b.int16(-1)
	b.int32(-1)
	b.int32(int32(len(records)))
	err := b.records(records, how, first, now)
	batch := b.bytes[begin:]
	binary.BigEndian.PutUint32(batch[batchSizeAt:], uint32(len(batch)-batchSizeEnd))
	binary.BigEndian.PutUint32(batch[batchSumAt:], checksum(batch[batchSumEnd:]))
	return err
}

// Where the checksum of a batch is, and what it is of.
const (
	batchSumAt  = 17
	batchSumEnd = 21
)

// records writes those of a batch, compressed as its attributes say.
func (b *buffer) records(records []Record, how protocol.Attributes, first int64, now time.Time) error {
	codec := how.Compression().Codec()
	if codec == nil {
		for i := range records {
			b.record(&records[i], i, millis(records[i].Time, now)-first)
		}
		return nil
	}
	plain := buffers.Get().(*buffer)
	defer plain.free()
	for i := range records {
		plain.record(&records[i], i, millis(records[i].Time, now)-first)
	}
	w := codec.NewWriter(b)
	_, err := w.Write(plain.bytes)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return err
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}

// record writes the record at a place in a batch, some time after its first.
func (b *buffer) record(r *Record, place int, after int64) {
	headers := int64(0)
	for range r.Headers.All() {
		headers++
	}
	size := 1 + varintLen(after) + varintLen(int64(place)) + fieldLen(r.Key) + fieldLen(r.Value) + varintLen(headers) + len(r.Headers)
	b.varint(int64(size))
	b.int8(0) // attributes, of which there are none
	b.varint(after)
	b.varint(int64(place))
	b.field(r.Key)
	b.field(r.Value)
	b.varint(headers)
	b.bytes = append(b.bytes, r.Headers...)
}

func millis(t, now time.Time) int64 {
	if t.IsZero() {
		t = now
	}
	return t.UnixMilli()
}

func (b *buffer) varint(v int64) { b.bytes = binary.AppendVarint(b.bytes, v) }

// varintLen is how many bytes varint writes: one for seven bits, of which there is always one.
func varintLen(v int64) int {
	return (bits.Len64(uint64(v<<1^v>>63)|1) + 6) / 7
}

// field writes bytes that may be nil, which is null.
func (b *buffer) field(f []byte) {
	if f == nil {
		b.varint(-1)
		return
	}
	b.varint(int64(len(f)))
	b.bytes = append(b.bytes, f...)
}

func fieldLen(f []byte) int {
	if f == nil {
		return varintLen(-1)
	}
	return varintLen(int64(len(f))) + len(f)
}

// produceAnswer is the answer to a produce. It is lent.
type produceAnswer struct {
	frame
	logs []appended
}

// appended is what an answer says of one log.
type appended struct {
	TopicPartition
	code    int16
	base    int64
	message string // what the broker said of the batch, or of the first record that it refused
}

var produceAnswers = sync.Pool{New: func() any { return new(produceAnswer) }}

// ApiKey implements protocol.Message.
func (*produceAnswer) ApiKey() protocol.ApiKey { return protocol.Produce }

// free gives the answer back. Nothing in it may be used after it.
func (a *produceAnswer) free() {
	clear(a.logs)
	a.frame, a.logs = a.frame[:0], a.logs[:0]
	produceAnswers.Put(a)
}

// read takes the frame apart: a Produce response of produceVersion (https://kafka.apache.org/protocol#The_Messages_Produce).
func (a *produceAnswer) read() error {
	r := wire{b: a.frame}
	for range r.count() {
		topic := r.string()
		for range r.count() {
			l := appended{TopicPartition: TopicPartition{topic, int(r.int32())}, code: r.int16(), base: r.int64()}
			r.int64() // time of the append
			r.int64() // start of the log
			for i := range r.count() {
				r.int32() // which record
				if refused := r.string(); i == 0 {
					l.message = refused
				}
			}
			if of := r.string(); of != "" {
				l.message = of
			}
			a.logs = append(a.logs, l)
		}
	}
	if r.short {
		return io.ErrUnexpectedEOF
	}
	return nil
}
