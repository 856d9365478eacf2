package hold

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

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

var errShort = errors.New("a Kafka request ends within its header")

func parseHeader(frame []byte) (h header, err error) {
	if len(frame) < 10 {
		return h, errShort
	}
	h.key = int16(binary.BigEndian.Uint16(frame))
	h.version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.correlation = int32(binary.BigEndian.Uint32(frame[4:]))
	n := int(int16(binary.BigEndian.Uint16(frame[8:])))
	rest := frame[10:]
	if n > len(rest) {
		return h, errShort
	}
	if n > 0 {
		h.client, rest = string(rest[:n]), rest[n:]
	}
	h.body = rest
	return h, nil
}

// decode reads the body.
func (h header) decode() (kmsg.Request, error) {
	body := kmsg.RequestForKey(h.key)
	if body == nil {
		return nil, fmt.Errorf("Kafka request %d is unknown", h.key)
	}
	body.SetVersion(h.version)
	src := h.body
	if body.IsFlexible() {
		var err error
		if src, err = skipTags(src); err != nil {
			return nil, err
		}
	}
	if err := body.ReadFrom(src); err != nil {
		return nil, fmt.Errorf("%s v%d: %w", kmsg.NameForKey(h.key), h.version, err)
	}
	return body, nil
}

// skipTags passes over the tagged fields of a flexible header: Kafka has none so far.
func skipTags(src []byte) ([]byte, error) {
	if len(src) == 0 || src[0] != 0 {
		return nil, errors.New("a Kafka header with tagged fields")
	}
	return src[1:], nil
}

// request takes apart what holds and faults may look into.
func (h header) request() (Request, error) {
	r := Request{Client: h.client, Key: kmsg.Key(h.key)}
	if r.Key != kmsg.Produce && r.Key != kmsg.Fetch && r.Key != kmsg.OffsetCommit {
		return r, nil
	}
	body, err := h.decode()
	if err != nil {
		return r, err
	}
	r.Body = body
	log := func(topic string, p int32) { r.Logs = append(r.Logs, Log{topic, int(p)}) }
	switch b := body.(type) {
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
