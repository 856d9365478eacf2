package broker

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// identityVersion is the first Metadata version that tells topic ids (KIP-516, Kafka 2.8). kafka-go speaks none that
// does.
const identityVersion = 10

// Identities implements Log with the topic ids of KIP-516. A broker may lag behind a change for a moment.
func (c *Client) Identities(ctx context.Context, topics []string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	l, err := c.layout(ctx)
	if err != nil {
		return nil, err
	}
	if len(l.brokers) == 0 {
		return nil, fault.New(fault.Unavailable, "topic ids: the cluster has no broker")
	}
	asked := kmsg.NewPtrMetadataRequest()
	asked.Version = identityVersion
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		asked.Topics = append(asked.Topics, t)
	}
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID(c.cfg.ClientID))
	request := buffers.Get().(*buffer)
	request.bytes = formatter.AppendRequest(request.bytes, asked, correlation)
	leader := l.brokers[rand.IntN(len(l.brokers))]
	r, err := c.roundTrip(ctx, brokerName(leader), &identify{exchange{api: protocol.Metadata, version: identityVersion,
		leader: leader, request: request, answer: &identified{}}})
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string, len(topics))
	for _, t := range r.(*identified).Topics {
		switch kafka.Error(t.ErrorCode) {
		case 0, kafka.LeaderNotAvailable: // the topic is there
			ids[*t.Topic] = uuid.UUID(t.TopicID).String()
		case kafka.UnknownTopicOrPartition:
		default:
			return nil, code("topic id of "+*t.Topic, t.ErrorCode, "")
		}
	}
	return ids, nil
}

// identify is an exchange in a version that kafka-go does not know.
type identify struct{ exchange }

// Required implements protocol.RawExchanger.
func (x *identify) Required(map[protocol.ApiKey]int16) bool {
	x.agreed = x.version
	return true
}

// identified is the answer.
type identified struct {
	frame
	kmsg.MetadataResponse
}

// ApiKey implements protocol.Message.
func (*identified) ApiKey() protocol.ApiKey { return protocol.Metadata }

func (*identified) free() {}

// read takes the frame apart: first the tagged fields of the head, of which none is known.
func (a *identified) read() error {
	if len(a.frame) == 0 || a.frame[0] != 0 {
		return fmt.Errorf("its head has tagged fields")
	}
	a.Version = identityVersion
	if err := a.ReadFrom(a.frame[1:]); err != nil {
		return err
	}
	for _, t := range a.Topics {
		if t.Topic == nil {
			return fmt.Errorf("a topic has no name")
		}
	}
	return nil
}
