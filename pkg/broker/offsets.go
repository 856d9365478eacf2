package broker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The timestamps that ListOffsets takes for the two ends of a log.
const (
	latest   = -1
	earliest = -2
)

// listOffsetsVersion is the version of ListOffsets that is spoken here. Kafka has it since 2.2.
const listOffsetsVersion = 5

// Ends implements Log.
func (c *Client) Ends(ctx context.Context, logs []TopicPartition) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, logs, latest)
}

// Starts implements Log.
func (c *Client) Starts(ctx context.Context, logs []TopicPartition) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, logs, earliest)
}

// Logs returns the logs of each topic, by number. A topic that does not exist, or that this user may not see, is left
// out.
func (c *Client) Logs(ctx context.Context, topics []string) (map[string][]TopicPartition, error) {
	var wanted []Topic
	for _, name := range topics {
		wanted = append(wanted, Topic{Name: name})
	}
	m, err := c.metadataWith(ctx, wanted)
	if err != nil {
		return nil, err
	}
	logs := map[string][]TopicPartition{}
	for _, name := range topics {
		t, _ := m.topic(name)
		for _, p := range t.Partitions {
			logs[name] = append(logs[name], TopicPartition{name, int(p.PartitionIndex)})
		}
	}
	return logs, nil
}

// Since returns of each log the offset of its first record that is not older than a time, or its end where there is
// none. What is appended during the call is not passed over. All or an error.
func (c *Client) Since(ctx context.Context, logs []TopicPartition, at time.Time) (map[TopicPartition]int64, error) {
	ends, err := c.Ends(ctx, logs)
	if err != nil {
		return nil, err
	}
	found, err := c.offsets(ctx, logs, max(0, at.UnixMilli()))
	if err != nil {
		return nil, err
	}
	for tp, offset := range found {
		if offset < 0 {
			found[tp] = ends[tp]
		}
	}
	return found, nil
}

// offsets asks the leaders of logs, all at once, for the offset at a timestamp.
func (c *cluster) offsets(ctx context.Context, logs []TopicPartition, at int64) (map[TopicPartition]int64, error) {
	found := make(map[TopicPartition]int64, len(logs))
	if len(logs) == 0 {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*answerWithin)
	defer cancel()
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, err
	}
	once := slices.Compact(slices.SortedFunc(slices.Values(logs), compareLogs)) // brokers refuse a log asked for twice
	led, orphans := byLeader(m, once)
	for _, err := range orphans {
		c.refresh()
		return nil, err
	}
	var mu sync.Mutex
	var leaders sync.WaitGroup
	var errs []error
	for leader, logs := range led {
		leaders.Go(func() {
			offsets, err := c.offsetsOf(ctx, leader, logs, at)
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
func (c *cluster) offsetsOf(ctx context.Context, leader int32, logs []TopicPartition, at int64) (
	map[TopicPartition]int64, error) {
	request := &kmsg.ListOffsetsRequest{Version: listOffsetsVersion, ReplicaID: -1}
	for _, logs := range byTopic(logs) {
		t := kmsg.ListOffsetsRequestTopic{Topic: logs[0].Topic}
		for _, tp := range logs {
			t.Partitions = append(t.Partitions, kmsg.ListOffsetsRequestTopicPartition{
				Partition: int32(tp.Partition), CurrentLeaderEpoch: -1, Timestamp: at})
		}
		request.Topics = append(request.Topics, t)
	}
	r, err := request.RequestWith(ctx, c.broker(leader))
	if err != nil {
		return nil, err
	}
	found := make(map[TopicPartition]int64, len(logs))
	for _, t := range r.Topics {
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
			return nil, silent(tp)
		}
	}
	return found, nil
}

// silent is the error of a log that the answer of its leader leaves out.
func silent(tp TopicPartition) error {
	return fault.New(fault.Unavailable, "%s/%d is missing in the answer of its leader", tp.Topic, tp.Partition)
}
