package broker

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/segmentio/kafka-go/protocol/produce"
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
		"an old broker":       {10, "", kafka.UnsupportedVersion, "version 10 of Fetch"},
		"nothing":             {11, "", io.ErrUnexpectedEOF, ""},
		"half a head":         {11, "\x00\x00", io.ErrUnexpectedEOF, ""},
		"less than announced": {11, "\x00\x00\x00\x10\x00\x00\x00\x01abc", io.ErrUnexpectedEOF, ""},
		"another's answer":    {11, "\x00\x00\x00\x04\x00\x00\x00\x02", nil, "number 2"},
		"a negative size":     {11, "\xff\xff\xff\xff\x00\x00\x00\x01", nil, "bytes"},
		"an empty answer":     {11, "\x00\x00\x00\x04\x00\x00\x00\x01", io.ErrUnexpectedEOF, "malformed"},
		"too many topics":     {11, "\x00\x00\x00\x12\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff", io.ErrUnexpectedEOF, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			x := &exchange{api: protocol.Fetch, version: fetchVersion, request: (&Client{}).request(protocol.Fetch, fetchVersion), answer: new(fetchAnswer)}
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
	c := &Client{cfg: Config{ClientID: "me", ProduceTimeout: 7 * time.Second}}
	at := func(topic string, p int, offset int64) Position {
		return Position{TopicPartition{topic, p}, offset, 1000}
	}
	ours := c.fetchRequest(&poll{positions: []Position{at("a", 0, 5), at("a", 2, 1<<40), at("b", 1, 0)}, wait: time.Second}) // begins with the second
	entry := func(p int32, offset int64) fetch.RequestPartition {
		return fetch.RequestPartition{Partition: p, CurrentLeaderEpoch: -1, FetchOffset: offset, LogStartOffset: -1, PartitionMaxBytes: 1000}
	}
	same(t, ours, fetchVersion, &fetch.Request{ReplicaID: -1, MaxWaitTime: 1000, MinBytes: 1, MaxBytes: 3000, IsolationLevel: 1, SessionID: -1, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{
			{Topic: "a", Partitions: []fetch.RequestPartition{entry(2, 1<<40)}},
			{Topic: "b", Partitions: []fetch.RequestPartition{entry(1, 0)}},
			{Topic: "a", Partitions: []fetch.RequestPartition{entry(0, 5)}},
		}})

	one, other := events(3), oddRecords()
	ours, err := c.produceRequest([]Batch{{TopicPartition{"a", 0}, one}, {TopicPartition{"a", 1}, other}, {TopicPartition{"b", 0}, one[:1]}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, ours, produceVersion, &produce.Request{Acks: -1, Timeout: 7000, Topics: []produce.RequestTopic{
		{Topic: "a", Partitions: []produce.RequestPartition{{Partition: 0, RecordSet: recordSet(0, one)}, {Partition: 1, RecordSet: recordSet(0, other)}}},
		{Topic: "b", Partitions: []produce.RequestPartition{{Partition: 0, RecordSet: recordSet(0, one[:1])}}},
	}})
}

func same(t *testing.T, ours *buffer, version int16, theirs protocol.Message) {
	t.Helper()
	var want bytes.Buffer
	if err := protocol.WriteRequest(&want, version, correlation, "me", theirs); err != nil {
		t.Fatal(err)
	}
	if got := ours.sized(); !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s\ngot  %q\nwant %q", theirs.ApiKey(), got, want.Bytes())
	}
}

func TestProduceAnswers(t *testing.T) {
	refused := produce.ResponsePartition{Partition: 3, ErrorCode: 87, BaseOffset: -1,
		RecordErrors: []produce.ResponseError{{BatchIndex: 1, BatchIndexErrorMessage: "no key"}, {BatchIndex: 2, BatchIndexErrorMessage: "no more"}}}
	whole := refused
	whole.Partition, whole.ErrorMessage = 4, "not now"
	var b bytes.Buffer
	if err := protocol.WriteResponse(&b, produceVersion, correlation, &produce.Response{Topics: []produce.ResponseTopic{
		{Topic: "a", Partitions: []produce.ResponsePartition{{Partition: 2, BaseOffset: 1 << 40, LogAppendTime: -1}, refused}},
		{Topic: "b", Partitions: []produce.ResponsePartition{whole}},
	}}); err != nil {
		t.Fatal(err)
	}
	a := produceAnswer{frame: b.Bytes()[8:]}
	want := []appended{{TopicPartition{"a", 2}, 0, 1 << 40, ""}, {TopicPartition{"a", 3}, 87, -1, "no key"}, {TopicPartition{"b", 4}, 87, -1, "not now"}}
	if err := a.read(); err != nil || !slices.Equal(a.logs, want) {
		t.Errorf("%+v, %v", a.logs, err)
	}
	a = produceAnswer{frame: b.Bytes()[8 : b.Len()-5]}
	if err := a.read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("one that is cut short: %v", err)
	}
}
