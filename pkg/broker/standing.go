package broker

import (
	"context"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// Standing is the state of a consumer group as seen by someone who takes no part in it.
type Standing struct {
	// Members of the group. 0: nobody consumes. One that died counts until its session ends.
	Members int
	// Committed offsets by log; -1 where there is none.
	Committed map[TopicPartition]int64
}

// Group looks at a consumer group from outside, and at what it has committed of some logs. A group that nobody has
// joined yet has no members. It blocks until the coordinator answers; errors are as of Log.
func (c *Client) Group(ctx context.Context, group string, logs []TopicPartition) (Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	asked := "group " + group
	r, err := c.roundTrip(ctx, asked, &describegroups.Request{Groups: []string{group}})
	if err != nil {
		return Standing{}, err
	}
	s := Standing{Committed: make(map[TopicPartition]int64, len(logs))}
	for _, tp := range logs {
		s.Committed[tp] = -1
	}
	for _, g := range r.(*describegroups.Response).Groups {
		if err := groupCode(asked, g.ErrorCode); err != nil {
			return Standing{}, err
		}
		s.Members += len(g.Members)
	}
	topics := map[string][]int32{}
	for _, tp := range logs {
		topics[tp.Topic] = append(topics[tp.Topic], int32(tp.Partition))
	}
	offsets := &offsetfetch.Request{GroupID: group}
	for topic, partitions := range topics {
		offsets.Topics = append(offsets.Topics, offsetfetch.RequestTopic{Name: topic, PartitionIndexes: partitions})
	}
	if r, err = c.roundTrip(ctx, asked, offsets); err != nil {
		return Standing{}, err
	}
	if err := groupCode(asked, r.(*offsetfetch.Response).ErrorCode); err != nil {
		return Standing{}, err
	}
	for _, t := range r.(*offsetfetch.Response).Topics {
		for _, p := range t.Partitions {
			if err := code(asked, p.ErrorCode, ""); err != nil {
				return Standing{}, err
			}
			s.Committed[TopicPartition{t.Name, int(p.PartitionIndex)}] = p.CommittedOffset
		}
	}
	return s, nil
}

// groupCode is code for what is said of a whole group: one that does not exist stands like an empty one.
func groupCode(asked string, c int16) error {
	if kafka.Error(c) == kafka.GroupIdNotFound {
		return nil
	}
	return code(asked, c, "")
}
