package broker

import (
	"context"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// identityVersion is the first version of Metadata that tells topic ids (KIP-516, Kafka 2.8). kafka-go speaks none that
// does.
const identityVersion = 10

// Identities implements Log with the topic ids of KIP-516. A broker may lag behind a change for a moment.
func (c *Client) Identities(ctx context.Context, topics []string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	request := &kmsg.MetadataRequest{Version: identityVersion, Topics: []kmsg.MetadataRequestTopic{}}
	for _, name := range topics {
		request.Topics = append(request.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	}
	r, err := request.RequestWith(ctx, c.anyone())
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string, len(topics))
	for _, t := range r.Topics {
		if t.Topic == nil {
			return nil, fault.New(fault.Unavailable, "topic ids: the broker names no topic")
		}
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
