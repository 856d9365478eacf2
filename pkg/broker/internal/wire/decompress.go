package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/snappy/xerial"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// Bounds of what batches become in memory. Their length on the wire, which Kafka bounds, says little of it: 3 KB of
// zstd can be 100 MB of zeros, and 200 bytes 30,000 records.
const (
	// MaxBatchMemory is what the records of one batch may take, in bytes. A batch has 1 MiB on the wire at most unless
	// an operator raises max.message.bytes, and events get ten times smaller when they are compressed well. What is
	// beyond cannot be read.
	MaxBatchMemory = 16 << 20
	// MaxResponseMemory is what all batches of a response may take; those beyond it are fetched again. It is twice
	// MaxBatchMemory, so that the first batch always has its room.
	MaxResponseMemory = 2 * MaxBatchMemory
	// recordMemory is what a record takes beside its bytes: itself, and what its reader keeps about it.
	recordMemory = 512
	// MaxRecords is how many records a batch can have.
	MaxRecords = MaxBatchMemory / recordMemory
)

// Errors of batches that take too much memory.
var (
	errLarge = fmt.Errorf("its records take more than %d MiB in memory", MaxBatchMemory>>20)
	// ErrNoRoom is not for ever: the batch could be read if others had not been read before it.
	ErrNoRoom = errors.New("there is no room for a batch in this response")
)

// memoryOf is what a batch takes when these are its bytes without compression.
func memoryOf(plain []byte, records int32) int { return len(plain) + int(records)*recordMemory }

// plain returns the bytes of a batch's records without compression: in b, where there was any. taken is what other
// batches of the response take in memory.
func (b *buffer) plain(how compress.Compression, payload []byte, records int32, taken int) ([]byte, error) {
	room := min(MaxBatchMemory, MaxResponseMemory-taken)
	most, err := room-memoryOf(nil, records), error(nil)
	switch {
	case most < 0:
		err = errLarge
	case how != compress.None:
		err = b.decompress(how, payload, most)
		payload = b.bytes
	case len(payload) > most:
		err = errLarge
	}
	if err != nil && room < MaxBatchMemory { // whatever it is, only with all the room can it be known
		err = ErrNoRoom
	}
	return payload, err
}

// decompress puts what payload holds in the place of what b held. More than most bytes are an error.
func (b *buffer) decompress(how compress.Compression, payload []byte, most int) (err error) {
	switch how {
	case compress.Zstd:
		err = b.inOnePiece(payload, most, func(to, payload []byte) ([]byte, error) {
			return zstdDecoder.DecodeAll(payload, to)
		})
	case compress.Snappy: // as one block, or as the framed blocks of Java's clients
		err = b.inOnePiece(payload, most, xerial.DecodeCapped)
	case compress.Gzip, compress.Lz4:
		r := how.Codec().NewReader(bytes.NewReader(payload))
		err = b.readAll(r, most)
		err = errors.Join(err, r.Close())
	default:
		return fmt.Errorf("it is compressed in an unknown way (%d)", how)
	}
	if err != nil {
		return fmt.Errorf("decompress (%s): %w", how, err)
	}
	return nil
}

// minMemory is the least that is taken for what is decompressed, in bytes.
const minMemory = 4 << 10

// zstdDecoder takes no memory for the window of a frame, which is whatever the frame says. There is no error: it has
// one option, which is right.
var zstdDecoder, _ = zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true))

// inOnePiece has a payload decoded into memory that decode does not exceed. A payload need not say how large it
// becomes: while the memory may have been too little, it tries again with 8 times as much.
func (b *buffer) inOnePiece(payload []byte, most int, decode func(to, payload []byte) ([]byte, error)) error {
	for room := max(minMemory, 8*len(payload)); ; room *= 8 {
		b.bytes = slices.Grow(b.bytes[:0], min(room, most))
		limit := min(cap(b.bytes), most)
		plain, err := decode(b.bytes[:0:limit], payload)
		if err == nil {
			b.bytes = plain
			return nil
		}
		if limit == most { // zstd's decoder has no error of its own for too little memory
			return fmt.Errorf("%w, or are damaged: %w", errLarge, err)
		}
	}
}

// readAll reads to the end. It doubles the memory as it reads, up to most.
func (b *buffer) readAll(r io.Reader, most int) error {
	for b.bytes = b.bytes[:0]; ; {
		if have := len(b.bytes); have == cap(b.bytes) {
			b.bytes = slices.Grow(b.bytes, min(max(have, minMemory), most+1-have))
		}
		n, err := r.Read(b.bytes[len(b.bytes):min(cap(b.bytes), most+1)])
		switch b.bytes = b.bytes[:len(b.bytes)+n]; {
		case len(b.bytes) > most:
			return errLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
