package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
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
	headers := int64(0)
	for rest, ok := r.Headers, true; len(rest) > 0 && ok; headers++ {
		_, _, rest, ok = CutHeader(rest)
	}
	after, place := r.Timestamp-begin, int64(n)
	size := 1 + varintSize(after) + varintSize(place) + bytesSize(r.Key) + bytesSize(r.Value) +
		varintSize(headers) + len(r.Headers)
	b = binary.AppendVarint(b, int64(size))
	b = append(b, 0) // attributes: there are none
	b = binary.AppendVarint(b, after)
	b = binary.AppendVarint(b, place)
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, headers)
	return append(b, r.Headers...)
}

// readRecord reads the next record and copies it, so that whoever keeps it keeps nothing else of the batch. (In memory
// that records shared, a Fetch of 100 took 4 % less processor time.) Offset and Timestamp are relative to the batch.
func readRecord(from *reader) (r Record, err error) {
	in := reader{b: bytes.Clone(from.bytes())}
	in.take(1) // attributes
	r.Timestamp = in.varint()
	r.Offset = in.varint()
	r.Key = in.bytes()
	r.Value = in.bytes()
	n := in.varint()
	rest, ok := in.b, !in.short
	for ; ok && n > 0; n-- {
		_, _, rest, ok = CutHeader(rest)
	}
	if !ok {
		return r, errRecord
	}
	if size := len(in.b) - len(rest); size > 0 {
		r.Headers = in.b[:size:size]
	}
	return r, nil
}
