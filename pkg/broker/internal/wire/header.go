package wire

import (
	"encoding/binary"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kbin"
)

// AppendHeader appends a header: key and value, each after its length as a varint. A nil value is null (length -1),
// which is not an empty one.
func AppendHeader(b []byte, key string, value []byte) []byte {
	b = append(binary.AppendVarint(b, int64(len(key))), key...)
	return appendBytes(b, value)
}

// CutHeader takes the first header off. Key and value are views of b; a null key, which no broker takes, is read as an
// empty one. It returns false when the header is cut short.
func CutHeader(b []byte) (key string, value, rest []byte, ok bool) {
	// Both lengths of one byte and not null, as most: without this, a Fetch takes 1.2 times the processor time.
	if len(b) > 0 && b[0]&0x81 == 0 {
		if at := 1 + int(b[0]>>1); at < len(b) && b[at]&0x81 == 0 {
			if end := at + 1 + int(b[at]>>1); end <= len(b) {
				return unsafe.String(&b[1], at-1), b[at+1 : end : end], b[end:], true
			}
		}
	}
	r := kbin.Reader{Src: b}
	key, value = r.UnsafeVarintString(), r.VarintBytes()
	return key, value, r.Src, r.Ok()
}

// appendBytes appends bytes behind their length as a varint; nil is null, whose length is -1. (With kbin's functions a
// Produce of 100 records takes 1.1 times the processor time.)
func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(v))), v...)
}

// bytesSize is how many bytes appendBytes appends.
func bytesSize(v []byte) int {
	if v == nil {
		return kbin.VarintLen(-1)
	}
	return kbin.VarintLen(int32(len(v))) + len(v)
}
