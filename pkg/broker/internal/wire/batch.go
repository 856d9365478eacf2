package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"

	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batch is a record batch of format 2, the only one that Kafka has written since 0.11. Its Records may be compressed.
type Batch struct{ kmsg.RecordBatch }

// Where in a batch things are, and the bits of its attributes.
const (
	// What the length of a batch counts begins behind the length, what its checksum is of behind the checksum.
	lengthEnd, magicAt, crcAt, crcEnd = 12, 16, 17, 21

	compressionBits  = 0x07
	logAppendTimeBit = 0x08 // the records' time is when the broker got them
	transactionalBit = 0x10
	controlBit       = 0x20
)

// Errors of batches as a whole.
var (
	// ErrPartial is the error of a batch that the size of the response has cut off: it comes whole when asked for.
	ErrPartial = errors.New("the response ends within a batch")
	// errOffsets is the error of a batch whose records are not in order, or lie outside of it.
	errOffsets = errors.New("a batch has records at offsets that are not its own")

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ReadBatch reads the first batch of b and returns what follows it.
func ReadBatch(b []byte) (batch Batch, rest []byte, err error) {
	if len(b) < lengthEnd {
		return Batch{}, nil, ErrPartial
	}
	length := int(int32(binary.BigEndian.Uint32(b[lengthEnd-4:])))
	if length > len(b)-lengthEnd {
		return Batch{}, nil, ErrPartial
	}
	if length < 0 {
		return Batch{}, nil, errRecord
	}
	b, rest = b[:lengthEnd+length], b[lengthEnd+length:]
	if len(b) > magicAt && b[magicAt] != 2 {
		return Batch{}, nil, fmt.Errorf("a batch of format %d; only 2 can be read, which Kafka writes since 0.11", b[magicAt])
	}
	if err := batch.ReadFrom(b); err != nil || batch.LastOffsetDelta < 0 {
		return Batch{}, nil, errRecord
	}
	if got, want := crc32.Checksum(b[crcEnd:], castagnoli), uint32(batch.CRC); got != want {
		return Batch{}, nil, fmt.Errorf("a batch has checksum %08x, and says %08x", got, want)
	}
	batch.NumRecords = max(0, batch.NumRecords)
	return batch, rest, nil
}

// LastOffset is the offset of the last record that the batch has or, in a compacted log, had.
func (b *Batch) LastOffset() int64 { return b.FirstOffset + int64(b.LastOffsetDelta) }

// Records reads the records of the batch, and ends with the first error. taken is what other batches of the response
// take in memory; when all records have been read, this batch is in it.
func (b *Batch) Records(taken *int) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		lent := buffers.Get().(*buffer)
		defer lent.free()
		how := compress.Compression(b.Attributes & compressionBits)
		plain, err := lent.plain(how, b.RecordBatch.Records, b.NumRecords, *taken)
		if err != nil {
			yield(Record{}, err)
			return
		}
		last, from := b.FirstOffset-1, kbin.Reader{Src: plain}
		for range b.NumRecords {
			r, err := readRecord(&from)
			r.Offset += b.FirstOffset
			r.Timestamp += b.FirstTimestamp
			if b.Attributes&logAppendTimeBit != 0 {
				r.Timestamp = b.MaxTimestamp
			}
			if err == nil && (r.Offset <= last || r.Offset > b.LastOffset()) {
				err = errOffsets
			}
			last = r.Offset
			if !yield(r, err) || err != nil {
				return
			}
		}
		*taken += memoryOf(plain, b.NumRecords)
	}
}

// AppendBatch writes a batch of n records, one at least; record returns the i-th. The broker gives the offsets.
func AppendBatch(to []byte, how compress.Compression, n int, record func(i int) Record) []byte {
	begin := len(to)
	head := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(n - 1), NumRecords: int32(n),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1} // no idempotent producer: docs/protocol.md says why
	to = head.AppendTo(to)
	records := len(to)
	for i := range n {
		r := record(i)
		if i == 0 {
			head.FirstTimestamp = r.Timestamp
		}
		head.MaxTimestamp = max(head.MaxTimestamp, r.Timestamp)
		to = r.append(to, i, head.FirstTimestamp)
	}
	if small, ok := compressed(how, to[records:]); ok {
		to, head.Attributes = append(to[:records], small...), int16(how)
	}
	head.Length = int32(len(to) - begin - lengthEnd)
	head.AppendTo(to[:begin]) // in the place of the first
	binary.BigEndian.PutUint32(to[begin+crcAt:], crc32.Checksum(to[begin+crcEnd:], castagnoli))
	return to
}

// compressed returns false when records are to be sent as they are.
func compressed(how compress.Compression, records []byte) ([]byte, bool) {
	codec := how.Codec()
	if codec == nil {
		return nil, false
	}
	var b bytes.Buffer
	w := codec.NewWriter(&b)
	_, err := w.Write(records)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err == nil
}
