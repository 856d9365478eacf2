package hold

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Log is one partition of a topic.
type Log struct {
	Topic     string
	Partition int
}

// Request is one Kafka request.
type Request struct {
	Client string
	Key    kmsg.Key
	// Group of OffsetCommit.
	Group string
	// Logs of Produce, Fetch and OffsetCommit, in the order of the request.
	Logs []Log
	// Body is the decoded request; nil for a kind that nothing here looks into.
	Body kmsg.Request
}

// header is the start of every request.
type header struct {
	key, version int16
	correlation  int32
	client       string
	body         []byte
}

func parseHeader(frame []byte) (header, error) {
	b := kbin.Reader{Src: frame}
	h := header{key: b.Int16(), version: b.Int16(), correlation: b.Int32()}
	if client := b.NullableString(); client != nil {
		h.client = *client
	}
	h.body = b.Src
	return h, b.Complete()
}

// message is the body of a request or an answer.
type message interface {
	Key() int16
	SetVersion(version int16)
	IsFlexible() bool
	ReadFrom(src []byte) error
}

// decode reads a body behind its header, the end of which are tagged fields in flexible versions.
func decode(body message, version int16, src []byte) error {
	body.SetVersion(version)
	b := kbin.Reader{Src: src}
	if body.IsFlexible() {
		kmsg.SkipTags(&b)
	}
	if err := errors.Join(b.Complete(), body.ReadFrom(b.Src)); err != nil {
		return fmt.Errorf("%s v%d: %w", kmsg.NameForKey(body.Key()), version, err)
	}
	return nil
}

// request takes apart what holds and faults may look into.
func (h header) request() (Request, error) {
	r := Request{Client: h.client, Key: kmsg.Key(h.key)}
	if r.Key != kmsg.Produce && r.Key != kmsg.Fetch && r.Key != kmsg.OffsetCommit {
		return r, nil
	}
	r.Body = kmsg.RequestForKey(h.key)
	if err := decode(r.Body, h.version, h.body); err != nil {
		return r, err
	}
	log := func(topic string, p int32) { r.Logs = append(r.Logs, Log{topic, int(p)}) }
	switch b := r.Body.(type) {
	case *kmsg.ProduceRequest:
		for _, t := range b.Topics {
			for _, p := range t.Partitions {
				log(t.Topic, p.Partition)
			}
		}
	case *kmsg.FetchRequest:
		for _, t := range b.Topics {
			for _, p := range t.Partitions {
				log(t.Topic, p.Partition)
			}
		}
	case *kmsg.OffsetCommitRequest:
		r.Group = b.Group
		for _, t := range b.Topics {
			for _, p := range t.Partitions {
				log(t.Topic, p.Partition)
			}
		}
	}
	return r, nil
}

// Records of a Produce request for one log, decompressed; nil when they cannot be read, or for another kind of request.
func (r Request) Records(of Log) []*kgo.Record {
	produce, ok := r.Body.(*kmsg.ProduceRequest)
	if !ok {
		return nil
	}
	for _, t := range produce.Topics {
		for _, p := range t.Partitions {
			if t.Topic == of.Topic && int(p.Partition) == of.Partition {
				read := kmsg.NewFetchResponseTopicPartition()
				read.Partition, read.RecordBatches = p.Partition, p.Records
				got, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: t.Topic, Partition: p.Partition},
					&read, kgo.DefaultDecompressor(), nil)
				return got.Records
			}
		}
	}
	return nil
}

func (r Request) hit() Hit {
	h := Hit{Client: r.Client, Partition: -1, What: r.Key.Name()}
	if len(r.Logs) > 0 {
		h.Partition = r.Logs[0].Partition
		h.What += fmt.Sprintf(" %s/%d", r.Logs[0].Topic, r.Logs[0].Partition)
	}
	if more := len(r.Logs) - 1; more > 0 {
		h.What += fmt.Sprintf(" and %d more", more)
	}
	if r.Group != "" {
		h.What += " of group " + r.Group
	}
	return h
}

// service is the service of a process: payment-2 is an instance of payment.
func service(process string) string {
	name, number, found := strings.Cut(process, "-")
	if found && strings.Trim(number, "0123456789") == "" {
		return name
	}
	return process
}
