package wire

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// AppendHeader appends a header: key and value, each after its length as a varint. A nil value is null (length -1),
// which is not an empty one.
func AppendHeader(b []byte, key string, value []byte) []byte {
	b = append(binary.AppendVarint(b, int64(len(key))), key...)
	return appendBytes(b, value)
}

// HeaderSize is how many bytes AppendHeader appends.
func HeaderSize(key string, value []byte) int {
	return varintSize(int64(len(key))) + len(key) + bytesSize(value)
}

// CutHeader takes the first header off. Key and value are views of b; a null key, which no broker takes, is read as an
// empty one. It returns false when the header is cut short.
func CutHeader(b []byte) (key string, value, rest []byte, ok bool) {
	if len(b) > 0 && b[0]&0x81 == 0 { // both lengths of one byte and not null, as most
		if at := 1 + int(b[0]>>1); at < len(b) && b[at]&0x81 == 0 {
			if end := at + 1 + int(b[at]>>1); end <= len(b) {
				return unsafe.String(&b[1], at-1), b[at+1 : end : end], b[end:], true
			}
		}
	}
	r := reader{b: b}
	name := r.bytes()
	value = r.bytes()
	return unsafe.String(unsafe.SliceData(name), len(name)), value, r.b, !r.short
}

// reader takes bytes apart. Where there are too few, everything it returns is zero, and short says so.
type reader struct {
	b     []byte
	short bool
}

// take returns the next n bytes.
func (r *reader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.b, r.short = nil, true
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

// varint returns the next zigzag varint.
func (r *reader) varint() int64 {
	if len(r.b) > 0 && r.b[0] < 0x80 { // most lengths: without this, decoding takes a third longer
		v := int64(r.b[0])
		r.b = r.b[1:]
		return v>>1 ^ -(v & 1)
	}
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.short = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes returns the bytes behind their length: nil for null, not nil for none.
func (r *reader) bytes() []byte {
	n := r.varint()
	if n < 0 || r.short {
		return nil
	}
	return r.take(n)
}

// appendBytes appends bytes behind their length as a varint; nil is null, whose length is -1.
func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(v))), v...)
}

// bytesSize is how many bytes appendBytes appends.
func bytesSize(v []byte) int {
	if v == nil {
		return varintSize(-1)
	}
	return varintSize(int64(len(v))) + len(v)
}

// varintSize is the length of a zigzag varint: one byte for seven bits, of which there is always one.
func varintSize(v int64) int { return (bits.Len64(uint64(v<<1^v>>63)|1) + 6) / 7 }
