package broker_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// canned is a broker without work of its own: it leads topic a with one partition, and answers every request of one API
// with the same bytes. So a benchmark measures the client, the kernel's loopback and little else.
func canned(b *testing.B, answers map[kmsg.Key]kmsg.Response) *broker.Client {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	port := int32(listener.Addr().(*net.TCPAddr).Port)
	raw := map[kmsg.Key][]byte{}
	for key, answer := range answers {
		raw[key] = answer.AppendTo(nil)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn, port, raw)
		}
	}()
	c, err := broker.Open(broker.Config{Brokers: []string{listener.Addr().String()}, ReplicationFactor: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// serve answers the requests of one connection until it is closed.
func serve(conn net.Conn, port int32, raw map[kmsg.Key][]byte) {
	defer func() { _ = conn.Close() }()
	request := make([]byte, 1<<20)
	for {
		if _, err := io.ReadFull(conn, request[:4]); err != nil {
			return
		}
		request := request[:binary.BigEndian.Uint32(request)]
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		key, version := kmsg.Key(binary.BigEndian.Uint16(request)), int16(binary.BigEndian.Uint16(request[2:]))
		body := raw[key]
		switch key {
		case kmsg.ApiVersions:
			r := kmsg.ApiVersionsResponse{Version: version}
			for k := range int16(kmsg.MaxKey) {
				r.ApiKeys = append(r.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: 12})
			}
			body = r.AppendTo(nil)
		case kmsg.Metadata:
			p := kmsg.MetadataResponseTopicPartition{Replicas: []int32{0}, ISR: []int32{0}}
			r := kmsg.MetadataResponse{Version: version, Brokers: []kmsg.MetadataResponseBroker{{Host: "127.0.0.1", Port: port}},
				Topics: []kmsg.MetadataResponseTopic{{Topic: kmsg.StringPtr("a"), Partitions: []kmsg.MetadataResponseTopicPartition{p}}}}
			body = r.AppendTo(nil)
		}
		answer := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
		answer = append(append(answer, request[4:8]...), body...)
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// hundred are records like those of an order's events: 12 headers each, some 450 bytes.
func hundred() (records []broker.Record) {
	for i := range 100 {
		var pairs []string
		for h := range 12 {
			pairs = append(pairs, fmt.Sprintf("ce_header%d", h), fmt.Sprintf("the value %d of %d", h, i))
		}
		records = append(records, broker.Record{Key: []byte("order-1"), Value: fmt.Appendf(nil, "%d %0100d", i, i),
			Headers: broker.HeadersOf(pairs...), Time: time.UnixMilli(1e12 + int64(i))})
	}
	return records
}

func BenchmarkFetch(b *testing.B) {
	cfg := brokertest.Fresh(b)
	real, err := broker.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = real.Close() }()
	if err := real.Provision(b.Context(), []broker.Topic{{Name: "a", Partitions: 1}}); err != nil {
		b.Fatal(err)
	}
	real.Produce(b.Context(), []broker.Batch{{TopicPartition: a(0), Records: hundred()}}, func(p broker.Produced) {
		if p.Err != nil {
			b.Fatal(p.Err)
		}
	})
	b.Run("embedded", func(b *testing.B) { fetches(b, real) })
	b.Run("client", func(b *testing.B) {
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.RecordBatches = 100, batchOf(b, cfg)
		fetches(b, canned(b, map[kmsg.Key]kmsg.Response{kmsg.Fetch: &kmsg.FetchResponse{Version: 11,
			Topics: []kmsg.FetchResponseTopic{{Topic: "a", Partitions: []kmsg.FetchResponseTopicPartition{p}}}}}))
	})
}

// fetches fetches the same 100 records again and again.
func fetches(b *testing.B, c *broker.Client) {
	b.ReportAllocs()
	for b.Loop() {
		fetched, err := c.Fetch(b.Context(), []broker.Position{{TopicPartition: a(0)}})
		if err != nil || fetched[0].Err != nil || len(fetched[0].Records) != 100 {
			b.Fatalf("%d records, %v, %v", len(fetched[0].Records), fetched[0].Err, err)
		}
	}
}

func BenchmarkProduce(b *testing.B) {
	records := hundred()
	produces := func(b *testing.B, c *broker.Client) {
		b.ReportAllocs()
		for b.Loop() {
			c.Produce(b.Context(), []broker.Batch{{TopicPartition: a(0), Records: records}}, func(p broker.Produced) {
				if p.Err != nil {
					b.Fatal(p.Err)
				}
			})
		}
	}
	b.Run("embedded", func(b *testing.B) {
		c, err := broker.Open(brokertest.Fresh(b))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.Provision(b.Context(), []broker.Topic{{Name: "a", Partitions: 1}}); err != nil {
			b.Fatal(err)
		}
		produces(b, c)
	})
	b.Run("client", func(b *testing.B) {
		p := kmsg.NewProduceResponseTopicPartition()
		produces(b, canned(b, map[kmsg.Key]kmsg.Response{kmsg.Produce: &kmsg.ProduceResponse{Version: 8,
			Topics: []kmsg.ProduceResponseTopic{{Topic: "a", Partitions: []kmsg.ProduceResponseTopicPartition{p}}}}}))
	})
}

// batchOf reads what topic a holds as it is on the wire.
func batchOf(b *testing.B, cfg broker.Config) []byte {
	b.Helper()
	conn, err := net.Dial("tcp", cfg.Brokers[0])
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	asked := kmsg.NewPtrFetchRequest()
	asked.Version, asked.MaxBytes = 11, 1<<20
	asked.Topics = []kmsg.FetchRequestTopic{{Topic: "a", Partitions: []kmsg.FetchRequestTopicPartition{p}}}
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, asked, 1)); err != nil {
		b.Fatal(err)
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(conn, head); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head)-4)
	if _, err := io.ReadFull(conn, body); err != nil {
		b.Fatal(err)
	}
	answer := kmsg.FetchResponse{Version: 11}
	if err := answer.ReadFrom(body); err != nil {
		b.Fatal(err)
	}
	return answer.Topics[0].Partitions[0].RecordBatches
}
