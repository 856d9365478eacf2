package wire

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/twmb/franz-go/pkg/kbin"
)

// Record is one record of a batch.
type Record struct {
	Offset     int64
	Timestamp  int64  // Unix milliseconds
	Key, Value []byte // nil is null
	Headers    []byte // one behind the other, as AppendHeader writes them; nil is none
}

// errRecord is the error of a batch that ends before its last record does.
var errRecord = errors.New("a batch is cut short")

// append writes a record as the n-th of a batch that begins at a time.
func (r *Record) append(b []byte, n int, begin int64) []byte {
	headers := int32(0)
	for rest, ok := r.Headers, true; len(rest) > 0 && ok; headers++ {
		_, _, rest, ok = CutHeader(rest)
	}
	after, place := r.Timestamp-begin, int32(n)
	size := 1 + kbin.VarlongLen(after) + kbin.VarintLen(place) + bytesSize(r.Key) + bytesSize(r.Value) +
		kbin.VarintLen(headers) + len(r.Headers)
	b = binary.AppendVarint(b, int64(size))
	b = append(b, 0) // attributes: there are none
	b = binary.AppendVarint(b, after)
	b = binary.AppendVarint(b, int64(place))
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, int64(headers))
	return append(b, r.Headers...)
}

// readRecord reads the next record and copies it, so that whoever keeps it keeps nothing else of the batch. (In memory
// that records shared, a Fetch of 100 took 4 % less processor time.) Offset and Timestamp are relative to the batch.
func readRecord(from *kbin.Reader) (r Record, err error) {
	in := kbin.Reader{Src: bytes.Clone(from.VarintBytes())}
	in.Span(1) // attributes
	r.Timestamp = in.Varlong()
	r.Offset = int64(in.Varint())
	r.Key = in.VarintBytes()
	r.Value = in.VarintBytes()
	n := in.Varint()
	rest, ok := in.Src, in.Ok()
	for ; ok && n > 0; n-- {
		_, _, rest, ok = CutHeader(rest)
	}
	if !ok {
		return r, errRecord
	}
	if size := len(in.Src) - len(rest); size > 0 {
		r.Headers = in.Src[:size:size]
	}
	return r, nil
}
