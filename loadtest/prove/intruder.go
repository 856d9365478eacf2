package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/twmb/franz-go/pkg/kgo"
)

// intruder appends to the topics of facts what nobody has decided.
type intruder struct {
	brokers []string
	log     *inspect.Plain
}

const (
	copiesAtOnce = 25
	maxCopy      = 900 << 10 // what is larger is appended by oversize
	poisonAtOnce = 2
)

// copies appends old records again, as a producer does whose request was on its way for long.
func (in *intruder) copies(ctx context.Context, seed uint64) (string, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	var again []*kgo.Record
	for _, topic := range inspect.FactTopics() {
		old, err := in.log.Topic(ctx, topic, partitions)
		if err != nil {
			return "", err
		}
		old = slices.DeleteFunc(old, func(r broker.Record) bool { return len(r.Value) > maxCopy })
		for range min(copiesAtOnce, len(old)) {
			again = append(again, rig.Record(old[r.IntN(len(old))]))
		}
	}
	if len(again) == 0 {
		return "", fmt.Errorf("there are no records to copy")
	}
	return fmt.Sprintf("%d records are there again", len(again)), in.append(ctx, again...)
}

// listeners to the topics of facts: each must park what it cannot read.
var listeners = map[string]string{
	"order.events.v1": "order,payment,notification", "payment.events.v1": "order,notification", "notification.events.v1": "nobody",
}

// mark is the header of what must be parked by all listeners to a topic.
func mark(topic string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: check.PoisonHeader, Value: []byte(listeners[topic])}
}

// poison appends garbage of every kind to every topic of facts.
func (in *intruder) poison(ctx context.Context, seed uint64) (string, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	var all []*kgo.Record
	for range poisonAtOnce {
		for _, topic := range inspect.FactTopics() {
			all = append(all, in.garbage(r, topic)...)
		}
	}
	return fmt.Sprintf("%d records", len(all)), in.append(ctx, all...)
}

// oversize appends what is larger than may be written to every topic of facts.
func (in *intruder) oversize(ctx context.Context, seed uint64) (string, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	var all []*kgo.Record
	for _, topic := range inspect.FactTopics() {
		all = append(all, rig.Oversized(r, topic, mark(topic))...)
	}
	return fmt.Sprintf("%d records", len(all)), in.append(ctx, all...)
}

// garbage returns records that no reader can understand: bytes under a key, bytes without a key, half an envelope.
func (in *intruder) garbage(r *rand.Rand, topic string) []*kgo.Record {
	bytes := func() []byte {
		b := make([]byte, 1+r.IntN(200))
		for i := range b {
			b[i] = byte(r.UintN(256))
		}
		return b
	}
	key := []byte(uuid.NewSHA1(uuid.NameSpaceOID, bytes()).String())
	half := []byte(uuid.NewSHA1(uuid.NameSpaceOID, bytes()).String())
	at := func(key []byte) int32 { return int32(broker.Partition(key, partitions)) }
	return []*kgo.Record{
		{Topic: topic, Partition: at(key), Key: key, Value: bytes(), Headers: []kgo.RecordHeader{mark(topic)}},
		{Topic: topic, Partition: int32(r.IntN(partitions)), Value: bytes(), Headers: []kgo.RecordHeader{mark(topic)}},
		{Topic: topic, Partition: at(half), Key: half, Value: bytes(), Headers: []kgo.RecordHeader{mark(topic),
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_type", Value: bytes()}}},
	}
}

func (in *intruder) append(ctx context.Context, records ...*kgo.Record) error {
	return rig.Append(ctx, in.brokers, records...)
}
