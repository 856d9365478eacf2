package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/troupe-dev/troupe/pkg/broker/internal/wire"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var readFrom = Position{TopicPartition: TopicPartition{"orders", 3}}

// written is a record set as kafka-go writes it, at an offset, without the length before it.
func written(t testing.TB, base int64, how compress.Compression, records ...Record) []byte {
	t.Helper()
	set := recordSet(how, records)
	var b bytes.Buffer
	if _, err := set.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	raw := b.Bytes()[4:]
	binary.BigEndian.PutUint64(raw, uint64(base)) // as a broker does; it is not under the checksum
	return raw
}

// recordSet is kafka-go's own form of records, which it writes and reads without us.
func recordSet(how compress.Compression, records []Record) protocol.RecordSet {
	theirs := make([]protocol.Record, len(records))
	for i, r := range records {
		theirs[i] = protocol.Record{Time: r.Time, Key: protocol.NewBytes(r.Key), Value: protocol.NewBytes(r.Value), Headers: listed(r.Headers)}
	}
	return protocol.RecordSet{Version: 2, Attributes: protocol.Attributes(how), Records: protocol.NewRecordReader(theirs...)}
}

// events are records as ours are: a dozen headers each.
func events(n int) (records []Record) {
	for i := range n {
		r := Record{Key: []byte("order-1"), Value: fmt.Appendf(nil, "value %d", i), Time: time.UnixMilli(1e12 + int64(i))}
		for h := range 12 {
			r.Headers = r.Headers.Append(fmt.Sprintf("ce_header%d", h), fmt.Appendf(nil, "%d of %d", h, i))
		}
		records = append(records, r)
	}
	return records
}

// fetchedRaw is what a Fetch response says of one log.
func fetchedRaw(raw []byte) *kmsg.FetchResponseTopicPartition {
	return &kmsg.FetchResponseTopicPartition{RecordBatches: raw}
}

// appendBatch is a batch as it is produced.
func appendBatch(how compress.Compression, now time.Time, records []Record) []byte {
	return wire.AppendBatch(nil, how, len(records), func(i int) wire.Record { return wireRecord(&records[i], now) })
}

func oddRecords() []Record {
	return []Record{
		{Key: []byte("k"), Value: nil, Time: time.UnixMilli(1)},
		{Key: []byte{}, Value: []byte{}, Time: time.UnixMilli(2)},
		{Key: []byte("k"), Value: bytes.Repeat([]byte("long "), 40_000), Time: time.UnixMilli(3)},
		{Key: []byte("k"), Headers: headersOf(oddHeaders), Time: time.UnixMilli(4)},
	}
}

func TestBatchesAreReadAsTheyWereWritten(t *testing.T) {
	odd := oddRecords()
	for name, how := range compressions {
		t.Run(name, func(t *testing.T) {
			want := append(events(20), odd...)
			raw := append(written(t, 7, how, want[:5]...), written(t, 12, how, want[5:]...)...)
			raw = append(raw, written(t, 31, how, want...)[:50]...) // the size of an answer cuts off the last
			got, next, err := decode(readFrom, fetchedRaw(raw), new(int))
			if err != nil || next != 31 || len(got) != len(want) {
				t.Fatalf("%d of %d records, next %d, %v", len(got), len(want), next, err)
			}
			for i := range want {
				want[i].Topic, want[i].Partition, want[i].Offset = "orders", 3, int64(7+i)
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("got  %+v\nwant %+v", got[i], want[i])
				}
			}
			later := readFrom
			later.Offset = 14
			if got, next, err := decode(later, fetchedRaw(raw), new(int)); err != nil || len(got) != len(want)-7 || next != 31 || got[0].Offset != 14 {
				t.Errorf("from 14: %d records, next %d, %v", len(got), next, err)
			}
		})
	}
}

// What we write is read as it was meant, in every compression.
func TestBatchesAreWrittenAsTheyAreRead(t *testing.T) {
	now := time.UnixMilli(1e12)
	for name, how := range compressions {
		t.Run(name, func(t *testing.T) {
			want := append(events(20), oddRecords()...)
			want[3].Time = time.Time{}
			raw := appendBatch(how, now, want)
			got, next, err := decode(readFrom, fetchedRaw(raw), new(int))
			if err != nil || next != int64(len(want)) || len(got) != len(want) {
				t.Fatalf("%d of %d records, next %d, %v", len(got), len(want), next, err)
			}
			want[3].Time = now
			for i := range want {
				want[i].Topic, want[i].Partition, want[i].Offset = "orders", 3, int64(i)
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("got  %+v\nwant %+v", got[i], want[i])
				}
			}
			var theirs protocol.RecordSet
			sized := binary.BigEndian.AppendUint32(nil, uint32(len(raw)))
			if _, err := theirs.ReadFrom(bytes.NewReader(append(sized, raw...))); err != nil {
				t.Fatal(err)
			}
			read := 0
			for ; ; read++ {
				if _, err := theirs.Records.ReadRecord(); err != nil {
					break
				}
			}
			if read != len(want) {
				t.Errorf("kafka-go reads %d records", read)
			}
		})
	}
}

// The batch of a compacted log can lack its last records, and all of them.
func TestHolesArePassedOver(t *testing.T) {
	raw := written(t, 5, 0, events(1)...)
	binary.BigEndian.PutUint32(raw[23:], 9) // the last was 9 behind the first
	seal(raw)
	if got, next, err := decode(readFrom, fetchedRaw(raw), new(int)); err != nil || len(got) != 1 || next != 15 {
		t.Errorf("%d records, next %d, %v", len(got), next, err)
	}
}

// With LogAppendTime a record's time is when the broker got its batch.
func TestTimeOfTheBroker(t *testing.T) {
	raw := written(t, 0, 0, events(2)...)
	raw[22] |= 1 << 3
	binary.BigEndian.PutUint64(raw[35:], 42)
	seal(raw)
	got, _, err := decode(readFrom, fetchedRaw(raw), new(int))
	if err != nil || len(got) != 2 || !got[0].Time.Equal(time.UnixMilli(42)) || !got[1].Time.Equal(time.UnixMilli(42)) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestWhatIsBrokenIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func([]byte) []byte
		want  string
	}{
		"a flipped bit": {func(b []byte) []byte { b[70] ^= 1; return b }, "checksum"},
		"an old format": {func(b []byte) []byte { b[16] = 1; return b }, "format 1"},
	} {
		t.Run(name, func(t *testing.T) {
			raw := c.spoil(written(t, 0, 0, events(1)...))
			got, next, err := decode(readFrom, fetchedRaw(raw), new(int))
			if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), c.want) || len(got) != 0 || next != 0 {
				t.Errorf("%d records, next %d, %v", len(got), next, err)
			}
		})
	}
}

// seal makes the checksum right.
func seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// A record has its bytes to itself: to append to a part of it changes nothing else.
func TestRecordsAreApart(t *testing.T) {
	want := events(3)
	got, _, err := decode(readFrom, fetchedRaw(written(t, 0, 0, want...)), new(int))
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d records, %v", len(got), err)
	}
	for _, r := range got {
		_ = append(r.Key, "more than there is room for"...)
		_ = append(r.Value, "more than there is room for"...)
		r.Headers.Append("another", []byte("header"))
		for _, value := range r.Headers.All() {
			_ = append(value, "more than there is room for"...)
		}
	}
	for i := range want {
		if !bytes.Equal(got[i].Value, want[i].Value) || !bytes.Equal(got[i].Key, want[i].Key) || !reflect.DeepEqual(got[i].Headers, want[i].Headers) {
			t.Errorf("%d is %+v", i, got[i])
		}
	}
}

// A broker, or what stands in for it, may send anything.
func FuzzAnswer(f *testing.F) {
	f.Add(written(f, 0, 0, events(2)...), false)
	f.Add(written(f, 0, compressions["snappy"], events(2)...), true)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 'a'}, false)
	f.Fuzz(func(t *testing.T, raw []byte, sealed bool) {
		c, p := &cluster{transport: &kafka.Transport{}}, &poll{positions: []Position{readFrom}}
		if r := (&kmsg.FetchResponse{Version: fetchVersion}); r.ReadFrom(raw) == nil {
			_, _ = c.fetchResponse(p, r)
			for _, t := range r.Topics {
				for i := range t.Partitions {
					_, _, _ = decode(readFrom, &t.Partitions[i], new(int))
				}
			}
		}
		if sealed && len(raw) > 61 {
			binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
			raw[16] = 2
			seal(raw)
		}
		records, next, _ := decode(readFrom, fetchedRaw(raw), new(int))
		if next < readFrom.Offset {
			t.Errorf("next is %d", next)
		}
		for _, r := range records {
			if !r.Headers.Valid() {
				t.Errorf("there are headers %q", r.Headers)
			}
		}
	})
}

// A record is one allocation, of all its bytes.
func TestDecodeAllocatesLittle(t *testing.T) {
	raw := written(t, 0, 0, events(100)...)
	got := testing.AllocsPerRun(20, func() { _, _, _ = decode(readFrom, fetchedRaw(raw), new(int)) })
	if most := 100 + 2.; got > most {
		t.Errorf("100 records allocate %v times, at most %v were wanted", got, most)
	}
}

// Records are written into a buffer that is lent.
func TestWritingAllocatesNothing(t *testing.T) {
	r := &produceRequest{topics: [][]Batch{{{TopicPartition{"a", 0}, events(100)}}}}
	var b []byte
	if got := testing.AllocsPerRun(20, func() { b = r.AppendTo(b[:0]) }); got > 0 {
		t.Errorf("100 records allocate %v times", got)
	}
}
