package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// MaxResponse is the most bytes that a Fetch request asks one broker for, whatever its partitions add up to.
const MaxResponse = 64 << 20

// correlation is the id of every request: a connection has one request at a time, and is closed when that fails.
const correlation = 1

// RoundTrip sends a request with one write and receives its response. The bytes of records in it (RecordBatches) are
// lent: read is called with the response while they may be used. After an error the connection must be closed.
func RoundTrip(conn io.ReadWriter, clientID string, request kmsg.Request, read func(kmsg.Response)) error {
	b := buffers.Get().(*buffer)
	defer b.free()
	b.bytes = kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(b.bytes[:0], request, correlation)
	if _, err := conn.Write(b.bytes); err != nil {
		return err
	}
	if err := b.receive(conn); err != nil {
		return err
	}
	body := b.bytes
	if request.IsFlexible() { // KIP-482: the header ends with tagged fields, of which Kafka has none so far
		if len(body) == 0 || body[0] != 0 {
			return errors.New("the header of a response has tagged fields")
		}
		body = body[1:]
	}
	response := request.ResponseKind()
	if err := response.ReadFrom(body); err != nil {
		return fmt.Errorf("a malformed response: %w", err)
	}
	read(response)
	return nil
}

// buffer holds a request and then its response. It is lent: to allocate one for each takes a Fetch or a Produce of 100
// records 1.5 times as long.
type buffer struct{ bytes []byte }

// buffers are those that are not lent.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

// maxBufferKept is how large a buffer may be to be lent again: a few large ones would be kept for nothing.
const maxBufferKept = 2 << 20

// free gives a buffer back. Nothing may use its bytes after it.
func (b *buffer) free() {
	if cap(b.bytes) <= maxBufferKept {
		buffers.Put(b)
	}
}

// receive reads a response, without its size and correlation id, in the place of what b held.
func (b *buffer) receive(r io.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return truncated(err)
	}
	size := int(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if id := binary.BigEndian.Uint32(head[4:]); id != correlation || size < 0 {
		return fmt.Errorf("a response has correlation id %d, not %d, and %d bytes", id, correlation, size)
	}
	for b.bytes = b.bytes[:0]; len(b.bytes) < size; {
		have := len(b.bytes)
		n := min(size-have, max(MaxResponse, have)) // what is beyond gets its memory as it comes: the size may be wrong
		b.bytes = slices.Grow(b.bytes, n)[:have+n]
		if _, err := io.ReadFull(r, b.bytes[have:]); err != nil {
			return truncated(err)
		}
	}
	return nil
}

// truncated is the error of a response that ends too soon, also at its first byte.
func truncated(err error) error {
	if err == io.EOF { //nolint:errorlint // as the contract of io.Reader says
		return io.ErrUnexpectedEOF
	}
	return err
}
