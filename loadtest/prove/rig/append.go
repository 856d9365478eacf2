package rig

import (
	"bytes"
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Append appends each record in a batch of its own: one that cannot be read takes no other with it. It compresses them,
// so that Kafka takes what is larger than a batch may be.
func Append(ctx context.Context, brokers []string, records ...*kgo.Record) error {
	c, err := producer(brokers, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, r := range records {
		if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

// AppendTogether appends records of one partition in one batch: nothing of others comes between them.
func AppendTogether(ctx context.Context, brokers []string, records ...*kgo.Record) error {
	c, err := producer(brokers, togetherWithin)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.ProduceSync(ctx, records...).FirstErr()
}

// togetherWithin is how long a batch waits for its next record.
const togetherWithin = time.Second

func producer(brokers []string, linger time.Duration) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(linger), kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.ProducerBatchMaxBytes(2*bombBytes))
}

// Record makes a record to append, byte for byte the same.
func Record(r broker.Record) *kgo.Record {
	k := &kgo.Record{Topic: r.Topic, Partition: int32(r.Partition), Key: r.Key, Value: r.Value}
	for key, value := range r.Headers.All() {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: key, Value: value})
	}
	return k
}

// What is beyond the bounds that a service reads by (pkg/broker, pkg/event, pkg/deadletter), each by some.
const (
	bombBytes    = 24 << 20 // of zeros: 1 KB on the wire
	largeBytes   = 3 << 20
	headersBytes = 100 << 10
)

// Oversized are records, for one topic, that are larger, once they are read, than what may be written or kept: a
// decompression bomb, a record too large for a letter, a key and headers that are longer than those of an event may be.
// mark is a header that all of them have.
func Oversized(r *rand.Rand, topic string, mark kgo.RecordHeader) []*kgo.Record {
	id := make([]byte, 16)
	for i := range id {
		id[i] = byte(r.UintN(256))
	}
	key := []byte(uuid.NewSHA1(uuid.NameSpaceOID, id).String())
	of := func(key []byte, value int, headers ...kgo.RecordHeader) *kgo.Record {
		return &kgo.Record{
			Topic: topic, Partition: int32(broker.Partition(key, Partitions)), Key: key, Value: make([]byte, value),
			Headers: append([]kgo.RecordHeader{mark}, headers...),
		}
	}
	return []*kgo.Record{
		of(key, bombBytes), of(key, largeBytes), of(bytes.Repeat(key, event.MaxName/len(key)+1), 1),
		of(key, 1, kgo.RecordHeader{Key: "x", Value: make([]byte, headersBytes)}),
	}
}
