package broker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	kafkametadata "github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// metadata is what the transport knows of the cluster: its brokers, and the topics that exist. Brokers, topics and
// their partitions are sorted.
type metadata struct {
	brokers []int32
	topics  []kafkametadata.ResponseTopic
}

// metadata comes from the transport's memory, except for the first request after a refresh. It never creates a topic.
func (c *cluster) metadata(ctx context.Context) (metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerWithin)
	defer cancel()
	r, err := c.roundTrip(ctx, "metadata", &kafkametadata.Request{})
	if err != nil {
		c.refreshAfter(err) // an error is remembered too
		return metadata{}, err
	}
	m := metadata{topics: r.(*kafkametadata.Response).Topics}
	for _, b := range r.(*kafkametadata.Response).Brokers {
		m.brokers = append(m.brokers, b.NodeID)
	}
	c.outage.alive(func(name string) bool {
		return slices.ContainsFunc(m.brokers, func(id int32) bool { return brokerName(id) == name })
	})
	return m, nil
}

// metadataWith asks the brokers again when the remembered metadata lacks a topic.
func (c *cluster) metadataWith(ctx context.Context, topics []Topic) (metadata, error) {
	m, err := c.metadata(ctx)
	if err != nil || len(m.missing(topics)) == 0 {
		return m, err
	}
	c.refresh()
	return c.metadata(ctx)
}

// missing are those of the topics that do not exist.
func (m metadata) missing(topics []Topic) (missing []Topic) {
	for _, t := range topics {
		if _, ok := m.topic(t.Name); !ok {
			missing = append(missing, t)
		}
	}
	return missing
}

// topic finds a topic; an error of the broker about it counts as its absence.
func (m metadata) topic(name string) (kafkametadata.ResponseTopic, bool) {
	i, ok := slices.BinarySearchFunc(m.topics, name, func(t kafkametadata.ResponseTopic, name string) int {
		return strings.Compare(t.Name, name)
	})
	if !ok || m.topics[i].ErrorCode != 0 {
		return kafkametadata.ResponseTopic{}, false
	}
	return m.topics[i], true
}

// leader returns the broker that leads a log, or an Unavailable error.
func (m metadata) leader(tp TopicPartition) (int32, error) {
	t, ok := m.topic(tp.Topic)
	if !ok {
		return -1, fault.New(fault.Unavailable, "topic %s does not exist (yet)", tp.Topic)
	}
	i, ok := slices.BinarySearchFunc(t.Partitions, int32(tp.Partition),
		func(p kafkametadata.ResponsePartition, index int32) int { return cmp.Compare(p.PartitionIndex, index) })
	if !ok {
		return -1, fault.New(fault.Unavailable, "topic %s has no partition %d", tp.Topic, tp.Partition)
	}
	if leader := t.Partitions[i].LeaderID; slices.Contains(m.brokers, leader) {
		return leader, nil
	}
	return -1, fault.New(fault.Unavailable, "%s/%d has no leader", tp.Topic, tp.Partition)
}

// ofLog is what concerns one log: a TopicPartition, and whatever embeds it.
type ofLog interface{ log() TopicPartition }

func (tp TopicPartition) log() TopicPartition { return tp }

// byLeader groups what concerns logs by the broker that leads them; orphans are those without one, and why.
func byLeader[T ofLog](m metadata, all []T) (led map[int32][]T, orphans map[TopicPartition]error) {
	led = map[int32][]T{}
	for _, x := range all {
		leader, err := m.leader(x.log())
		if err != nil {
			if orphans == nil {
				orphans = map[TopicPartition]error{}
			}
			orphans[x.log()] = err
			continue
		}
		led[leader] = append(led[leader], x)
	}
	return led, orphans
}

// byTopic groups what concerns logs as Kafka's requests want it. Logs of one topic that are not one behind the other
// make several groups of it.
func byTopic[T ofLog](all []T) (groups [][]T) {
	for begin, i := 0, 1; i <= len(all); i++ {
		if i == len(all) || all[i].log().Topic != all[begin].log().Topic {
			groups = append(groups, all[begin:i])
			begin = i
		}
	}
	return groups
}
