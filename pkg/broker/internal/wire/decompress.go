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

// decompress returns what payload holds, or an error when that is more than most bytes.
func decompress(how compress.Compression, payload []byte, most int) (plain []byte, err error) {
	switch how {
	case compress.Zstd:
		plain, err = inOnePiece(payload, most, func(to, payload []byte) ([]byte, error) {
			return zstdDecoder.DecodeAll(payload, to)
		})
	case compress.Snappy: // as one block, or as the framed blocks of Java's clients
		plain, err = inOnePiece(payload, most, xerial.DecodeCapped)
	case compress.Gzip, compress.Lz4:
		r := how.Codec().NewReader(bytes.NewReader(payload))
		plain, err = readAll(r, most)
		err = errors.Join(err, r.Close())
	default:
		return nil, fmt.Errorf("it is compressed in an unknown way (%d)", how)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress (%s): %w", how, err)
	}
	return plain, nil
}

// minMemory is the least that is taken for what is decompressed, in bytes.
const minMemory = 4 << 10

// zstdDecoder takes no memory for the window of a frame, which is whatever the frame says.
var zstdDecoder = must(zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true)))

// must panics only if the options of zstdDecoder contradict each other.
func must(d *zstd.Decoder, err error) *zstd.Decoder {
	if err != nil {
		panic(err)
	}
	return d
}

// inOnePiece has a payload decoded into memory that decode does not exceed. A payload need not say how large it
// becomes: while the memory may have been too little, it tries again with 8 times as much.
func inOnePiece(payload []byte, most int, decode func(to, payload []byte) ([]byte, error)) ([]byte, error) {
	for room := max(minMemory, 8*len(payload)); ; room *= 8 {
		limit := min(room, most)
		plain, err := decode(make([]byte, 0, limit), payload)
		if err == nil {
			return plain, nil
		}
		if limit == most { // zstd's decoder has no error of its own for too little memory
			return nil, fmt.Errorf("%w, or are damaged: %w", errLarge, err)
		}
	}
}

// readAll reads to the end. It doubles its memory as it reads, up to most.
func readAll(r io.Reader, most int) (plain []byte, err error) {
	for {
		if have := len(plain); have == cap(plain) {
			plain = slices.Grow(plain, min(max(have, minMemory), most+1-have))
		}
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
