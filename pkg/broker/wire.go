package broker

import (
	"encoding/binary"
	"sync"

	"github.com/segmentio/kafka-go/protocol"
)

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

// string takes one; null is empty.
func (w *wire) string() string { return string(w.bytes(int(w.int16()))) }

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

// buffer puts a request together, all of it, so that it is sent with one write. It is lent.
type buffer struct{ bytes []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// request begins one: its head (https://kafka.apache.org/protocol#protocol_messages) with room for its size.
func (c *Client) request(api protocol.ApiKey, version int16) *buffer {
	r := buffers.Get().(*buffer)
	r.int32(0)
	r.int16(int16(api))
	r.int16(version)
	r.int32(correlation)
	r.string(c.cfg.ClientID)
	return r
}

// sized is the whole request, its size before it.
func (b *buffer) sized() []byte {
	binary.BigEndian.PutUint32(b.bytes, uint32(len(b.bytes)-4))
	return b.bytes
}

// maxBufferKept is how large a buffer may be to be lent again: a few large ones would be kept for nothing.
const maxBufferKept = 2 << 20

// free gives it back.
func (b *buffer) free() {
	if cap(b.bytes) > maxBufferKept {
		return
	}
	b.bytes = b.bytes[:0]
	buffers.Put(b)
}

func (b *buffer) int8(v int8)   { b.bytes = append(b.bytes, byte(v)) }
func (b *buffer) int16(v int16) { b.bytes = binary.BigEndian.AppendUint16(b.bytes, uint16(v)) }
func (b *buffer) int32(v int32) { b.bytes = binary.BigEndian.AppendUint32(b.bytes, uint32(v)) }
func (b *buffer) int64(v int64) { b.bytes = binary.BigEndian.AppendUint64(b.bytes, uint64(v)) }

func (b *buffer) string(s string) {
	b.int16(int16(len(s)))
	b.bytes = append(b.bytes, s...)
}

// topics writes the array of topics of n logs, each with its name and the array of its logs. Logs of one topic are one behind the other;
// one that comes again later is another element.
func (b *buffer) topics(n int, of func(i int) string, log func(i int)) {
	topics := b.array()
	var logs array
	for i := range n {
		if i == 0 || of(i) != of(i-1) {
			topics.more(b)
			b.string(of(i))
			logs = b.array()
		}
		logs.more(b)
		log(i)
	}
}

// array is where the number of its elements is.
type array int

func (b *buffer) array() array {
	b.int32(0)
	return array(len(b.bytes) - 4)
}

func (a array) more(b *buffer) {
	n := b.bytes[a:]
	binary.BigEndian.PutUint32(n, binary.BigEndian.Uint32(n)+1)
}
