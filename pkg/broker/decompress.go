package broker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/protocol"
)

// Bounds of what batches become. Their length on the wire, which Kafka bounds, says little of it: 3 KB of zstd can be
// 100 MB of zeros, and 200 bytes 30,000 records.
const (
	// maxBatchMemory is what the records of one batch may take. A batch has 1 MiB on the wire at most unless an
	// operator raises max.message.bytes, and events get ten times smaller when they are compressed well. What is beyond
	// cannot be read.
	maxBatchMemory = 16 << 20
	// maxAnswerMemory is what all batches of an answer may take; those beyond it are asked for again. It is twice the
	// other, so that the first batch always has its room.
	maxAnswerMemory = 2 * maxBatchMemory
	// recordMemory is what a record takes beside its bytes: itself, and what its reader keeps about it.
	recordMemory = 512
)

var (
	errLarge = fmt.Errorf("its records take more than %d MiB in memory", maxBatchMemory>>20)
	// errNoRoom is not for ever: the batch could be read if others had not been read before it.
	errNoRoom = errors.New("there is no room for a batch in this answer")
)

// memory is what a batch takes that has these bytes when they are not compressed.
func (b batch) memory(plain []byte) int { return len(plain) + b.count*recordMemory }

// plain are the bytes of a batch's records, in lent where they had to be decompressed. taken is what other batches of
// the answer take.
func (b batch) plain(lent *buffer, taken int) ([]byte, error) {
	room := min(maxBatchMemory, maxAnswerMemory-taken)
	most := room - b.memory(nil)
	payload, err := b.payload, error(nil)
	switch {
	case most < 0:
		err = errLarge
	case b.attributes.Compression() != 0:
		err = lent.decompress(b.attributes, payload, most)
		payload = lent.bytes
	case len(payload) > most:
		err = errLarge
	}
	if err != nil && room < maxBatchMemory { // whatever it is, only with all the room can it be known
		err = errNoRoom
	}
	return payload, err
}

// decompress puts what a payload holds in the place of what b held, or says errLarge.
func (b *buffer) decompress(how protocol.Attributes, payload []byte, most int) (err error) {
	codec := how.Compression().Codec()
	if codec == nil {
		return fmt.Errorf("it is compressed in an unknown way (%d)", how.Compression())
	}
	b.bytes = b.bytes[:0]
	switch codec.Name() {
	case "zstd":
		err = b.unzstd(payload, most)
	case "snappy":
		err = b.unsnappy(payload, most)
	default:
		r := codec.NewReader(bytes.NewReader(payload))
		err = errors.Join(b.fill(r, most), r.Close())
	}
	if err != nil && !errors.Is(err, errLarge) {
		err = fmt.Errorf("decompress (%s): %w", codec.Name(), err)
	}
	return err
}

// fill reads all there is.
func (b *buffer) fill(r io.Reader, most int) error {
	for {
		b.reserve(1)
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

// reserve makes room for n more bytes, twice as much each time.
func (b *buffer) reserve(n int) {
	if n > cap(b.bytes)-len(b.bytes) {
		b.bytes = slices.Grow(b.bytes, max(n, len(b.bytes), minBlock))
	}
}

// minBlock is the least that is made room for.
const minBlock = 64 << 10

// zstdReader decompresses whole payloads into memory that it is given, and takes none of its own for the window of a
// frame, which is whatever the frame says.
var zstdReader = must(zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true)))

func must(d *zstd.Decoder, err error) *zstd.Decoder {
	if err != nil {
		panic(err)
	}
	return d
}

// unzstd tries with more room while there may be too little: a frame need not say how large it becomes.
func (b *buffer) unzstd(payload []byte, most int) error {
	for room := max(minBlock, 8*len(payload)); ; room *= 8 {
		b.bytes = slices.Grow(b.bytes[:0], min(room, most))
		limit := min(most, cap(b.bytes))
		plain, err := zstdReader.DecodeAll(payload, b.bytes[:0:limit])
		if err == nil {
			b.bytes = plain
			return nil
		}
		if limit == most { // the decoder has no error of its own for too little room
			return fmt.Errorf("%w, or are damaged: %w", errLarge, err)
		}
	}
}

// xerial begins the blocks of snappy as Java's clients write them, each with its length before it; others write one
// block.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// xerialHead is their length with two versions.
const xerialHead = 16

func (b *buffer) unsnappy(payload []byte, most int) error {
	if len(payload) < xerialHead || !bytes.HasPrefix(payload, xerial) {
		return b.unsnappyBlock(payload, most)
	}
	for rest := payload[xerialHead:]; len(rest) > 0; {
		if len(rest) < 4 || int(binary.BigEndian.Uint32(rest)) > len(rest)-4 {
			return io.ErrUnexpectedEOF
		}
		end := 4 + int(binary.BigEndian.Uint32(rest))
		if err := b.unsnappyBlock(rest[4:end], most); err != nil {
			return err
		}
		rest = rest[end:]
	}
	return nil
}

// unsnappyBlock appends a block, which says how large it becomes.
func (b *buffer) unsnappyBlock(block []byte, most int) error {
	size, err := snappy.DecodedLen(block)
	if err != nil {
		return err
	}
	if size > most-len(b.bytes) {
		return errLarge
	}
	b.reserve(size)
	from := len(b.bytes)
	plain, err := snappy.Decode(b.bytes[from:from+size], block)
	b.bytes = b.bytes[:from+len(plain)]
	return err
}
