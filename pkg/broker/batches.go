package broker

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// decode copies the records of one log out of an answer. It drops what lies before the asked offset (a batch comes whole), control
// records and the records of aborted transactions, and returns the offset after the last of all of these. Of a batch
// that cannot be read, and never will be, there is one record that says so; taken is what the answer's batches take in
// memory so far.
func decode(from Position, l logAnswer, taken *int) (records []Record, next int64, err error) {
	next = from.Offset
	if *taken >= maxAnswerMemory {
		return nil, next, nil
	}
	aborted := abortedAt(l.aborted)
	records = make([]Record, 0, announced(l.batches))
	var into slabs
	for w := (wire{b: l.batches}); len(w.b) > 0; {
		b, more, err := readBatch(&w)
		if err != nil {
			return records, next, unreadable(from, next, err)
		}
		if !more {
			break
		}
		if aborted.keeps(b) && b.base+b.last >= from.Offset {
			into.left = len(w.b)
			with, err := b.records(records, from, &into, taken)
			switch {
			case errors.Is(err, errNoRoom):
				return records, next, nil
			case err != nil:
				records = append(records, b.unreadable(from, err))
				// The work of it: an answer full of bombs would otherwise take longer than anybody waits for it.
				*taken += maxBatchMemory
			default:
				records = with
			}
		}
		next = max(next, b.base+b.last+1)
	}
	return records, next, nil
}

// unreadable is not an outage, which passes by itself and is waited for in silence: somebody must look at the log.
func unreadable(from Position, at int64, err error) error {
	return fault.New(fault.Permanent, "read %s/%d at %d: %w", from.Topic, from.Partition, at, err)
}

// batch is a record batch (https://kafka.apache.org/documentation/#recordbatch).
type batch struct {
	base, last       int64 // offset of its first record, and how far behind it the last one is or was
	attributes       protocol.Attributes
	created, written int64 // Unix ms; of the first record, and of the last or of all
	producer         int64
	count            int
	payload          []byte
}

// logAppendTime: the records' time is when the broker got them.
const logAppendTime protocol.Attributes = 1 << 3

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// readBatch reads the next batch; more is false when it is cut off by the size of the answer.
func readBatch(w *wire) (b batch, more bool, err error) {
	b.base = w.int64()
	size := int(w.int32())
	if w.short || size > len(w.b) {
		return b, false, nil
	}
	in := wire{b: w.bytes(size)}
	in.int32() // leader epoch
	if magic := in.int8(); !in.short && magic != 2 {
		return b, false, fmt.Errorf("a batch of format %d; only 2 can be read, which Kafka writes since 0.11", magic)
	}
	sum := uint32(in.int32())
	if got := checksum(in.b); got != sum {
		return b, false, fmt.Errorf("a batch has checksum %08x, and says %08x", got, sum)
	}
	b.attributes, b.last = protocol.Attributes(in.int16()), int64(in.int32())
	b.created, b.written = in.int64(), in.int64()
	b.producer = in.int64()
	in.int16() // producer epoch
	in.int32() // sequence
	b.count, b.payload = max(0, int(in.int32())), in.b
	if in.short || b.last < 0 {
		return b, false, errCut
	}
	return b, true, nil
}

var (
	errCut     = errors.New("a batch is cut short")
	errOffsets = errors.New("a batch has records at offsets that are not its own")
)

// unreadable stands for all records of a batch whose head is sound. Nothing more is known of them, not even their keys.
// It lies at the last of their offsets: whoever has read it goes on behind the batch, and whoever has not gets the
// batch again.
func (b batch) unreadable(from Position, err error) Record {
	r := Record{Topic: from.Topic, Partition: from.Partition, Offset: b.base + b.last, Time: time.UnixMilli(b.written)}
	r.Unreadable = fault.New(fault.Permanent, "the batch of offsets %d to %d of %s/%d cannot be read: %w",
		b.base, r.Offset, r.Topic, r.Partition, err)
	return r
}

// records appends those of a batch that were asked for. After an error it has appended none.
func (b batch) records(to []Record, from Position, into *slabs, taken *int) ([]Record, error) {
	plain := buffers.Get().(*buffer)
	defer plain.free()
	payload, err := b.plain(plain, *taken)
	if err != nil {
		return nil, err
	}
	before := b.base - 1
	w := wire{b: payload}
	to = slices.Grow(to, min(b.count, len(w.b)/minRecordBytes))
	for range b.count {
		in := wire{b: w.bytes(int(w.varint()))}
		in.int8() // attributes, of which there are none
		at := b.created + in.varint()
		if b.attributes&logAppendTime != 0 {
			at = b.written
		}
		offset := b.base + in.varint()
		if w.short || in.short {
			return nil, errCut
		}
		if offset <= before || offset > b.base+b.last {
			return nil, errOffsets
		}
		before = offset
		if offset < from.Offset {
			continue
		}
		to = append(to, Record{Topic: from.Topic, Partition: from.Partition, Offset: offset, Time: time.UnixMilli(at)})
		in = wire{b: into.copy(in.b, len(w.b))} // the frame is used again
		if !in.record(&to[len(to)-1]) {
			return nil, errCut
		}
	}
	*taken += b.memory(payload)
	return to, nil
}

// record reads key, value and headers, as many of them as are announced.
func (w *wire) record(r *Record) bool {
	r.Key = w.field()
	r.Value = w.field()
	n := w.varint()
	rest, ok := Headers(w.b), !w.short
	for ; ok && n > 0; n-- {
		_, _, rest, ok = rest.cut()
	}
	if size := len(w.b) - len(rest); size > 0 {
		r.Headers = w.b[:size:size]
	}
	return ok
}

// field reads bytes that may be null, which is nil, or empty, which is not.
func (w *wire) field() []byte {
	n := int(w.varint())
	if n == 0 && !w.short {
		return []byte{}
	}
	return w.bytes(n)
}

type abortedTransaction struct{ producer, first int64 }

// transactions are the aborted ones in an answer, by producer: from which offset on, until its next marker.
type transactions struct {
	begin map[int64][]int64
	open  map[int64]bool
}

func abortedAt(list []abortedTransaction) transactions {
	if len(list) == 0 {
		return transactions{}
	}
	t := transactions{begin: map[int64][]int64{}, open: map[int64]bool{}}
	for _, a := range list { // a broker lists them by first offset
		t.begin[a.producer] = append(t.begin[a.producer], a.first)
	}
	return t
}

func (t transactions) keeps(b batch) bool {
	switch {
	case b.attributes.Control():
		delete(t.open, b.producer)
		return false
	case !b.attributes.Transactional():
		return true
	}
	if begin := t.begin[b.producer]; len(begin) > 0 && b.base >= begin[0] {
		t.begin[b.producer], t.open[b.producer] = begin[1:], true
	}
	return !t.open[b.producer]
}
