package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/snappy"
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
)

// Errors of batches that take too much memory.
var (
	errLarge = fmt.Errorf("its records take more than %d MiB in memory", MaxBatchMemory>>20)
	// ErrNoRoom is not for ever: the batch could be read if others had not been read before it.
	ErrNoRoom = errors.New("there is no room for a batch in this response")
)

// Memory is what the batch takes when these are its bytes without compression.
func (b *Batch) Memory(plain []byte) int { return len(plain) + int(b.NumRecords)*recordMemory }

// Plain returns the bytes of the batch's records without compression. taken is what other batches of the response take
// in memory.
func (b *Batch) Plain(taken int) ([]byte, error) {
	room := min(MaxBatchMemory, MaxResponseMemory-taken)
	most := room - b.Memory(nil)
	plain, err := b.RecordBatch.Records, error(nil)
	switch how := compress.Compression(b.Attributes & compressionBits); {
	case most < 0:
		err = errLarge
	case how != compress.None:
		plain, err = decompress(how, plain, most)
	case len(plain) > most:
		err = errLarge
	}
	if err != nil && room < MaxBatchMemory { // whatever it is, only with all the room can it be known
		err = ErrNoRoom
	}
	return plain, err
}

// decompress returns what payload holds, or errLarge when that is more than most bytes.
func decompress(how compress.Compression, payload []byte, most int) (plain []byte, err error) {
	switch how {
	case compress.Zstd:
		plain, err = unzstd(payload, most)
	case compress.Snappy:
		plain, err = unsnappy(payload, most)
	case compress.Gzip, compress.Lz4:
		r := how.Codec().NewReader(bytes.NewReader(payload))
		plain, err = readAll(r, len(payload), most)
		err = errors.Join(err, r.Close())
	default:
		return nil, fmt.Errorf("it is compressed in an unknown way (%d)", how)
	}
	if err != nil && !errors.Is(err, errLarge) {
		err = fmt.Errorf("decompress (%s): %w", how, err)
	}
	return plain, err
}

// readAll reads what size bytes were compressed to.
func readAll(r io.Reader, size, most int) ([]byte, error) {
	plain := make([]byte, 0, min(most+1, 4*size))
	for {
		plain = grow(plain, 1, most+1)
		n, err := r.Read(plain[len(plain):min(cap(plain), most+1)])
		switch plain = plain[:len(plain)+n]; {
		case len(plain) > most:
			return nil, errLarge
		case errors.Is(err, io.EOF):
			return plain, nil
		case err != nil:
			return nil, err
		}
	}
}

// minBlock is the least memory that is taken for what is decompressed, in bytes.
const minBlock = 64 << 10

// grow makes room for n more bytes: it doubles the memory, up to most.
func grow(b []byte, n, most int) []byte {
	if n <= cap(b)-len(b) {
		return b
	}
	return slices.Grow(b, max(n, min(max(len(b), minBlock), most-len(b))))
}

// zstdReader decompresses whole payloads into memory that it is given, and takes none of its own for the window of a
// frame, which is whatever the frame says.
var zstdReader = must(zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true)))

// must panics only if the options of zstdReader contradict each other.
func must(d *zstd.Decoder, err error) *zstd.Decoder {
	if err != nil {
		panic(err)
	}
	return d
}

// unzstd tries with more memory while there may be too little: a frame need not say how large it becomes.
func unzstd(payload []byte, most int) ([]byte, error) {
	for room := max(minBlock, 8*len(payload)); ; room *= 8 {
		limit := min(room, most)
		plain, err := zstdReader.DecodeAll(payload, make([]byte, 0, limit))
		if err == nil {
			return plain, nil
		}
		if limit == most { // the decoder has no error of its own for too little memory
			return nil, fmt.Errorf("%w, or are damaged: %w", errLarge, err)
		}
	}
}

// xerial begins the payload of Java's clients, which is blocks of snappy, each behind its length; others write one
// block. Two versions follow it.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// xerialHead is the size of what comes before the first block.
const xerialHead = 16

// unsnappy decompresses either form.
func unsnappy(payload []byte, most int) (plain []byte, err error) {
	if len(payload) < xerialHead || !bytes.HasPrefix(payload, xerial) {
		return appendSnappy(nil, payload, most)
	}
	for rest := payload[xerialHead:]; len(rest) > 0 && err == nil; {
		if len(rest) < 4 || int(binary.BigEndian.Uint32(rest)) > len(rest)-4 {
			return nil, io.ErrUnexpectedEOF
		}
		end := 4 + int(binary.BigEndian.Uint32(rest))
		plain, err = appendSnappy(plain, rest[4:end], most)
		rest = rest[end:]
	}
	return plain, err
}

// appendSnappy decompresses one block, which says how large it becomes.
func appendSnappy(plain, block []byte, most int) ([]byte, error) {
	size, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, err
	}
	if size > most-len(plain) {
		return nil, errLarge
	}
	plain = grow(plain, size, most)
	_, err = snappy.Decode(plain[len(plain):len(plain)+size], block)
	return plain[:len(plain)+size], err
}
