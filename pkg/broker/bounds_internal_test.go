package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
	"github.com/troupe-dev/troupe/pkg/broker/internal/wire"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// bombBytes is what a bomb becomes; what is allocated to refuse it must be far less.
const (
	bombBytes = 100 << 20
	mayTake   = 4 * wire.MaxBatchMemory
)

// allocated is how many bytes f allocates, whatever is freed again.
func allocated(f func()) uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	before := s[0].Value.Uint64()
	f()
	metrics.Read(s)
	return s[0].Value.Uint64() - before
}

// squeezed is a batch of n records whose bytes are compressed by somebody else's code than ours.
func squeezed(base int64, how compress.Compression, n int, write func(io.Writer)) []byte {
	head := appendBatch(0, time.UnixMilli(1), []Record{{Key: []byte{}}})[:61]
	var payload bytes.Buffer
	write(&payload)
	raw := append(bytes.Clone(head), payload.Bytes()...)
	binary.BigEndian.PutUint64(raw, uint64(base))
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint16(raw[21:], uint16(how))
	binary.BigEndian.PutUint32(raw[23:], uint32(n-1))
	binary.BigEndian.PutUint32(raw[57:], uint32(n))
	return seal(raw)
}

// bare are records as they are in a batch.
func bare(records ...Record) []byte { return appendBatch(0, time.UnixMilli(1), records)[61:] }

// zeros is one record of zeros, through a codec.
func zeros(how compress.Compression, size int) func(io.Writer) {
	return func(to io.Writer) {
		w := how.Codec().NewWriter(to)
		_, _ = w.Write(bare(Record{Key: []byte("k"), Value: make([]byte, size)}))
		_ = w.Close()
	}
}

// What decompresses to more than the bound is one unreadable record, and what lies behind it is read; little is allocated for it.
func TestABombIsUnreadableByItsOffset(t *testing.T) {
	zstdOf := func(options ...zstd.EOption) func(io.Writer) {
		return func(to io.Writer) {
			w, err := zstd.NewWriter(to, options...)
			if err != nil {
				t.Fatal(err)
			}
			for range bombBytes >> 20 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
			_ = w.Close()
		}
	}
	manyFrames := func(to io.Writer) {
		var frame bytes.Buffer
		w, _ := zstd.NewWriter(&frame)
		_, _ = w.Write(make([]byte, wire.MaxBatchMemory/2))
		_ = w.Close()
		for range 100 {
			_, _ = to.Write(frame.Bytes())
		}
	}
	lie := func(to io.Writer) { _, _ = to.Write(binary.AppendUvarint(nil, 1<<32-1)) } // a block of snappy that says 4 GiB
	frames := func(to io.Writer) {                                                    // many blocks of Java's form, each small enough
		block := snappy.Encode(nil, make([]byte, wire.MaxBatchMemory/2))
		_, _ = to.Write([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"))
		for range 3 {
			_, _ = to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(block))), block...))
		}
	}
	for name, c := range map[string]struct {
		how   compress.Compression
		count int
		write func(io.Writer)
	}{
		"gzip":                     {compressions["gzip"], 1, zeros(compressions["gzip"], bombBytes)},
		"snappy":                   {compressions["snappy"], 1, zeros(compressions["snappy"], bombBytes)},
		"snappy that lies":         {compressions["snappy"], 1, lie},
		"snappy in many blocks":    {compressions["snappy"], 1, frames},
		"lz4":                      {compressions["lz4"], 1, zeros(compressions["lz4"], bombBytes)},
		"zstd":                     {compressions["zstd"], 1, zeros(compressions["zstd"], bombBytes)},
		"zstd with a large window": {compressions["zstd"], 1, zstdOf(zstd.WithWindowSize(zstd.MaxWindowSize / 2))},
		"zstd of many frames":      {compressions["zstd"], 1, manyFrames},
		"a million empty records": {compressions["zstd"], 1_000_000, func(to io.Writer) {
			w := compressions["zstd"].Codec().NewWriter(to)
			_, _ = w.Write(bare(make([]Record, 1_000_000)...))
			_ = w.Close()
		}},
		"empty records that are not compressed": {0, 100_000, func(to io.Writer) {
			_, _ = to.Write(bare(make([]Record, 100_000)...))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bomb := squeezed(5, c.how, c.count, c.write)
			behind := written(t, 5+int64(c.count), compressions["gzip"], events(2)...)
			raw := slices.Concat(bomb, behind)
			last := int64(5 + c.count - 1)
			for _, at := range []int64{5, last} {
				from := readFrom
				from.Offset = at
				var got []Record
				var next int64
				var err error
				if n := allocated(func() { got, next, err = decode(from, fetchedRaw(raw), new(int)) }); n > mayTake {
					t.Errorf("%d MiB are allocated", n>>20)
				}
				if err != nil || next != last+3 || len(got) != 3 {
					t.Fatalf("%d records, next %d, %v", len(got), next, err)
				}
				r := got[0]
				if r.Offset != last || r.Topic != "orders" || r.Partition != 3 || r.Key != nil || r.Value != nil || fault.ClassOf(r.Unreadable) != fault.Permanent {
					t.Errorf("%+v", r)
				}
				if want := fmt.Sprintf("offsets 5 to %d of orders/3", last); r.Unreadable == nil || !strings.Contains(r.Unreadable.Error(), want) ||
					!strings.Contains(r.Unreadable.Error(), "16 MiB") {
					t.Errorf("%v", r.Unreadable)
				}
				if got[1].Unreadable != nil || string(got[1].Key) != "order-1" || got[1].Offset != last+1 {
					t.Errorf("behind it is %+v", got[1])
				}
			}
		})
	}
}

// What is within the bound is read, whatever it was on the wire.
func TestLargeIsNoBomb(t *testing.T) {
	for name, how := range compressions {
		if how == 0 {
			continue
		}
		size := wire.MaxBatchMemory - 2*512
		got, next, err := decode(readFrom, fetchedRaw(squeezed(0, how, 1, zeros(how, size))), new(int))
		if err != nil || next != 1 || len(got) != 1 || got[0].Unreadable != nil || len(got[0].Value) != size {
			t.Errorf("%s: %d records, next %d, %v", name, len(got), next, err)
		}
	}
}

// All batches of an answer together have a bound too. What is beyond it is asked for again: nothing of it is lost, or called unreadable.
func TestAnswersAreBounded(t *testing.T) {
	how := compressions["zstd"]
	var raw []byte
	batch := squeezed(0, how, 1, zeros(how, wire.MaxBatchMemory*3/4))
	for i := range 6 {
		binary.BigEndian.PutUint64(batch, uint64(i))
		raw = append(raw, batch...)
	}
	rounds, from := 0, readFrom
	for taken := 0; from.Offset < 6; rounds, taken = rounds+1, 0 {
		var size int
		for range 2 { // two logs of one answer
			got, next, err := decode(from, fetchedRaw(raw), &taken)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range got {
				if size += len(r.Value); r.Unreadable != nil || r.Offset != from.Offset+int64(i) {
					t.Fatalf("%+v", r)
				}
			}
			from.Offset = max(from.Offset, next)
		}
		if size > wire.MaxResponseMemory {
			t.Errorf("an answer has %d MiB", size>>20)
		}
		if rounds > 6 {
			t.Fatal("it does not come to the end")
		}
	}
}

// A few bombs are as much work as there is in one answer; those behind them come with the next.
func TestBombsComeAFewAtATime(t *testing.T) {
	var raw []byte
	bomb := squeezed(0, compressions["zstd"], 1, zeros(compressions["zstd"], 2*wire.MaxBatchMemory))
	for i := range 7 {
		binary.BigEndian.PutUint64(bomb, uint64(i)) // its offset is not under the checksum
		raw = append(raw, bomb...)
	}
	from := readFrom
	for from.Offset < 7 {
		got, next, err := decode(from, fetchedRaw(raw), new(int))
		if err != nil || len(got) == 0 || len(got) > 2 || next != from.Offset+int64(len(got)) || got[0].Unreadable == nil || got[0].Offset != from.Offset {
			t.Fatalf("from %d: %+v, next %d, %v", from.Offset, got, next, err)
		}
		from.Offset = next
	}
}

// A batch that came whole, and says what cannot be, will say it for ever: it is passed as one unreadable record. One whose checksum is
// wrong is not: another copy of the log may be sound.
func TestWhatWasWrittenWrongIsPassed(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func([]byte) []byte
		want  string
	}{
		"too many records":    {func(b []byte) []byte { b[60] = 99; return seal(b) }, "cut short"},
		"a record too long":   {func(b []byte) []byte { b[61] = 0xfe; return seal(b) }, "cut short"},
		"too many headers":    {func(b []byte) []byte { b[bytes.LastIndex(b, []byte("\x14ce_header0"))-1] += 2; return seal(b) }, "cut short"},
		"a header too long":   {func(b []byte) []byte { b[bytes.LastIndex(b, []byte("\x16ce_header11"))] = 0x7e; return seal(b) }, "cut short"},
		"unknown compression": {func(b []byte) []byte { b[22] = 7; return seal(b) }, "unknown way"},
		"not what it says":    {func(b []byte) []byte { b[22] = 1; return seal(b) }, "decompress (gzip)"},
		"not snappy":          {func(b []byte) []byte { b[22] = 2; return seal(b) }, "decompress (snappy)"},
		"not lz4":             {func(b []byte) []byte { b[22] = 3; return seal(b) }, "decompress (lz4)"},
		"not zstd":            {func(b []byte) []byte { b[22] = 4; return seal(b) }, "are damaged"},
		"a foreign offset":    {func(b []byte) []byte { b[26] = 0; return seal(b) }, "not its own"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := append(c.spoil(written(t, 7, 0, events(2)...)), written(t, 9, 0, events(1)...)...)
			got, next, err := decode(readFrom, fetchedRaw(raw), new(int))
			if err != nil || next != 10 || len(got) != 2 || got[0].Unreadable == nil || !strings.Contains(got[0].Unreadable.Error(), c.want) ||
				got[1].Offset != 9 || got[1].Unreadable != nil {
				t.Errorf("%+v, next %d, %v", got, next, err)
			}
		})
	}
}
