package broker

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/troupe-dev/troupe/pkg/broker/internal/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wired is a connection whose other end says one thing.
type wired struct {
	io.Reader
	io.Writer
}

func TestExchangeRefusesWhatIsNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		speaks int16
		says   string
		is     error
		want   string
	}{
		"an old broker":       {10, "", kafka.UnsupportedVersion, "version 11 of Fetch"},
		"nothing":             {11, "", io.ErrUnexpectedEOF, ""},
		"half a head":         {11, "\x00\x00", io.ErrUnexpectedEOF, ""},
		"less than announced": {11, "\x00\x00\x00\x10\x00\x00\x00\x01abc", io.ErrUnexpectedEOF, ""},
		"another's answer":    {11, "\x00\x00\x00\x04\x00\x00\x00\x02", nil, "id 2"},
		"a negative size":     {11, "\xff\xff\xff\xff\x00\x00\x00\x01", nil, "bytes"},
		"an empty answer":     {11, "\x00\x00\x00\x04\x00\x00\x00\x01", nil, "malformed"},
		"too many topics":     {11, "\x00\x00\x00\x12\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff", nil, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			request := &kmsg.FetchRequest{Version: fetchVersion}
			x := &exchange{request: request, frame: wire.Encode("me", request), read: func(kmsg.Response) { t.Error("it is read") }}
			if !x.Required(map[protocol.ApiKey]int16{protocol.Fetch: c.speaks}) {
				t.Fatal("kafka-go would read the answer")
			}
			_, err := x.RawExchange(wired{strings.NewReader(c.says), new(bytes.Buffer)})
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// What is written here is byte for byte what kafka-go writes, which knows nothing of it.
func TestRequestsAreThoseOfKafkaGo(t *testing.T) {
	at := func(topic string, p int, offset int64) Position {
		return Position{TopicPartition{topic, p}, offset, 1000}
	}
	ours := (&poll{positions: []Position{at("a", 0, 5), at("a", 2, 1<<40), at("b", 1, 0)}, wait: time.Second}).request(1) // begins with the second
	entry := func(p int32, offset int64) fetch.RequestPartition {
		return fetch.RequestPartition{Partition: p, CurrentLeaderEpoch: -1, FetchOffset: offset, LogStartOffset: -1, PartitionMaxBytes: 1000}
	}
	same(t, ours, &fetch.Request{ReplicaID: -1, MaxWaitTime: 1000, MinBytes: 1, MaxBytes: 3000, IsolationLevel: 1, SessionID: -1, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{
			{Topic: "a", Partitions: []fetch.RequestPartition{entry(2, 1<<40)}},
			{Topic: "b", Partitions: []fetch.RequestPartition{entry(1, 0)}},
			{Topic: "a", Partitions: []fetch.RequestPartition{entry(0, 5)}},
		}})

	one, other := events(3), oddRecords()
	produced := newProduceRequest(Config{ProduceTimeout: 7 * time.Second}, []Batch{{TopicPartition{"a", 0}, one}, {TopicPartition{"a", 1}, other}, {TopicPartition{"b", 0}, one[:1]}})
	same(t, produced, &produce.Request{Acks: -1, Timeout: 7000, Topics: []produce.RequestTopic{
		{Topic: "a", Partitions: []produce.RequestPartition{{Partition: 0, RecordSet: recordSet(0, one)}, {Partition: 1, RecordSet: recordSet(0, other)}}},
		{Topic: "b", Partitions: []produce.RequestPartition{{Partition: 0, RecordSet: recordSet(0, one[:1])}}},
	}})
}

func same(t *testing.T, ours kmsg.Request, theirs protocol.Message) {
	t.Helper()
	var got, want bytes.Buffer
	_ = wire.Encode("me", ours).RoundTrip(wired{new(bytes.Buffer), &got}, nil)
	if err := protocol.WriteRequest(&want, ours.GetVersion(), 1, "me", theirs); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%s\ngot  %q\nwant %q", theirs.ApiKey(), got.Bytes(), want.Bytes())
	}
}

// What a broker says of a batch, or else of its first record, is in the error.
func TestRefusedBatches(t *testing.T) {
	record, batch := "no key", "not now"
	p := kmsg.ProduceResponseTopicPartition{ErrorCode: 87, ErrorRecords: []kmsg.ProduceResponseTopicPartitionErrorRecord{
		{RelativeOffset: 1, ErrorMessage: &record}, {RelativeOffset: 2, ErrorMessage: &batch}}}
	if got := refusal(p); got != record {
		t.Errorf("of a record: %q", got)
	}
	if p.ErrorMessage = &batch; refusal(p) != batch {
		t.Errorf("of a batch: %q", refusal(p))
	}
	if got := refusal(kmsg.ProduceResponseTopicPartition{ErrorCode: 87}); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

// A produce that nobody waits for any more may still be sent: its caller can have other records in their place by then.
func TestRequestsAreEncodedFirst(t *testing.T) {
	records := events(3)
	sent := func(change func()) string {
		var b bytes.Buffer
		frame := wire.Encode("me", newProduceRequest(Config{}, []Batch{{TopicPartition{"a", 0}, records}}))
		change()
		_ = frame.RoundTrip(wired{new(bytes.Buffer), &b}, nil)
		return b.String()
	}
	want := sent(func() {})
	if got := sent(func() { copy(records, oddRecords()) }); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
