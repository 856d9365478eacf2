package inspect

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Plain reads the log as any consumer can, with a client that the services do not use.
type Plain struct {
	brokers []string
	admin   *kadm.Client
}

// NewPlain connects when it is first used. Close it.
func NewPlain(brokers []string) (*Plain, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, err
	}
	return &Plain{brokers, kadm.NewClient(c)}, nil
}

// Close ends its connections.
func (p *Plain) Close() { p.admin.Close() }

// Ends implements Log. A topic that is not there is an error.
func (p *Plain) Ends(ctx context.Context, topics []string) (map[broker.TopicPartition]int64, error) {
	return offsets(p.admin.ListEndOffsets(ctx, topics...))
}

// offsets are those that were listed. It is an error when one of them could not be.
func offsets(listed kadm.ListedOffsets, err error) (map[broker.TopicPartition]int64, error) {
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	found := map[broker.TopicPartition]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			err = fmt.Errorf("offsets of %s/%d: %w", o.Topic, o.Partition, o.Err)
		}
		found[broker.TopicPartition{Topic: o.Topic, Partition: int(o.Partition)}] = o.Offset
	})
	return found, err
}

// Committed implements Log.
func (p *Plain) Committed(ctx context.Context, group string) (map[broker.TopicPartition]int64, error) {
	fetched, err := p.admin.FetchOffsets(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	committed := map[broker.TopicPartition]int64{}
	fetched.Each(func(o kadm.OffsetResponse) {
		committed[broker.TopicPartition{Topic: o.Topic, Partition: int(o.Partition)}] = o.At
	})
	return committed, nil
}

// Members returns the client ids of a consumer group's members.
func (p *Plain) Members(ctx context.Context, group string) ([]string, error) {
	groups, err := p.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	var members []string
	for _, m := range groups[group].Members {
		members = append(members, m.ClientID)
	}
	return members, nil
}

// Topic implements Log.
func (p *Plain) Topic(ctx context.Context, topic string, partitions int) ([]broker.Record, error) {
	from, err := offsets(p.admin.ListStartOffsets(ctx, topic))
	if err != nil {
		return nil, err
	}
	ends, err := p.Ends(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	if len(ends) != partitions {
		return nil, fmt.Errorf("topic %s has %d partitions, not %d", topic, len(ends), partitions)
	}
	left := map[int32]int64{} // partitions not read yet, with their ends
	at := map[int32]kgo.Offset{}
	for tp, end := range ends {
		if from[tp] < end {
			left[int32(tp.Partition)], at[int32(tp.Partition)] = end, kgo.NewOffset().At(from[tp])
		}
	}
	return p.read(ctx, topic, at, left)
}

func (p *Plain) read(ctx context.Context, topic string, at map[int32]kgo.Offset, left map[int32]int64) ([]broker.Record, error) {
	if len(left) == 0 {
		return nil, nil
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var records []broker.Record
	for len(left) > 0 {
		fetched := c.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", topic, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			if end, open := left[r.Partition]; open && r.Offset < end {
				records = append(records, plain(r))
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	slices.SortStableFunc(records, func(a, b broker.Record) int { return a.Partition - b.Partition })
	return records, nil
}

func plain(r *kgo.Record) broker.Record {
	var headers broker.Headers
	for _, h := range r.Headers {
		headers = headers.Append(h.Key, h.Value)
	}
	return broker.Record{Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset, Key: r.Key, Value: r.Value, Headers: headers}
}
