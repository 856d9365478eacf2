package broker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// The timestamps that ListOffsets takes for the two ends of a log.
const (
	latest   = -1
	earliest = -2
)

// listOffsets is kafka-go's request without its Split, which would send every partition alone on a connection of its own.
// kafka-go encodes by ApiKey and the fields, which are the same.
type listOffsets listoffsets.Request

func (r *listOffsets) ApiKey() protocol.ApiKey { return protocol.ListOffsets }

func (r *listOffsets) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	return (*listoffsets.Request)(r).Broker(cluster)
}

// Ends implements Log.
func (c *Client) Ends(ctx context.Context, logs []TopicPartition) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, logs, latest)
}

// Starts implements Log.
func (c *Client) Starts(ctx context.Context, logs []TopicPartition) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, logs, earliest)
}

func (c *Client) offsets(ctx context.Context, logs []TopicPartition, at int64) (map[TopicPartition]int64, error) {
	found := make(map[TopicPartition]int64, len(logs))
	if len(logs) == 0 {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*answerWithin)
	defer cancel()
	l, err := c.layout(ctx)
	if err != nil {
		return nil, err
	}
	once := slices.Compact(slices.SortedFunc(slices.Values(logs), compareLogs)) // brokers refuse a log asked for twice
	groups, orphans := byLeader(l, once, func(tp TopicPartition) TopicPartition { return tp })
	for _, err := range orphans {
		c.refresh()
		return nil, err
	}
	var mu sync.Mutex
	var leaders sync.WaitGroup
	var errs []error
	for _, g := range groups {
		leaders.Go(func() {
			offsets, err := c.offsetsOf(ctx, g.leader, g.of, at)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			maps.Copy(found, offsets)
		})
	}
	leaders.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return found, nil
}

// offsetsOf asks one leader.
func (c *Client) offsetsOf(ctx context.Context, leader int32, logs []TopicPartition, at int64) (map[TopicPartition]int64, error) {
	request := &listOffsets{ReplicaID: -1}
	topics := map[string][]listoffsets.RequestPartition{}
	for _, tp := range logs {
		topics[tp.Topic] = append(topics[tp.Topic], listoffsets.RequestPartition{
			Partition: int32(tp.Partition), CurrentLeaderEpoch: -1, Timestamp: at})
	}
	for topic, partitions := range topics {
		request.Topics = append(request.Topics, listoffsets.RequestTopic{Topic: topic, Partitions: partitions})
	}
	r, err := c.roundTrip(ctx, brokerName(leader), request)
	if err != nil {
		return nil, err
	}
	found := make(map[TopicPartition]int64, len(logs))
	for _, t := range r.(*listoffsets.Response).Topics {
		for _, p := range t.Partitions {
			if moved(p.ErrorCode) {
				c.refresh()
			}
			if err := code("list offsets", p.ErrorCode, ""); err != nil {
				return nil, err
			}
			found[TopicPartition{t.Topic, int(p.Partition)}] = p.Offset
		}
	}
	for _, tp := range logs {
		if _, ok := found[tp]; !ok {
			return nil, fault.New(fault.Unavailable, "%s/%d is missing in the answer of its leader", tp.Topic, tp.Partition)
		}
	}
	return found, nil
}
