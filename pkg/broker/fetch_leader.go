package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/broker/internal/wire"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What every Fetch request says.
const (
	// fetchVersion is the version of Fetch that is spoken here. Kafka has it since 2.3.
	fetchVersion = 11
	// defaultMaxBytes of one log, where a position names none.
	defaultMaxBytes = 1 << 20
	// readCommitted is the isolation level that leaves out what transactions have not committed.
	readCommitted = 1
)

// fetchFrom sends the Fetch request of a poll and reads its response.
func (c *Client) fetchFrom(p *poll) []Fetched {
	ctx, cancel := context.WithTimeout(c.life, p.wait+answerWithin)
	defer cancel()
	var result []Fetched
	var failed error
	err := c.broker(p.leader).send(ctx, p.request(int(c.turn.Add(1))), func(r kmsg.Response) {
		result, failed = c.fetchResponse(p, r.(*kmsg.FetchResponse))
	})
	switch {
	case err != nil:
		return p.failed(err)
	case failed != nil:
		return p.failed(failed)
	}
	c.bounds(ctx, result)
	return result
}

// fetchResponse copies out of a response what it says of the logs of a poll.
func (c *cluster) fetchResponse(p *poll, r *kmsg.FetchResponse) ([]Fetched, error) {
	if err := code("fetch", r.ErrorCode, ""); err != nil {
		return nil, err
	}
	result, taken := make([]Fetched, len(p.positions)), 0
	for _, t := range r.Topics {
		for i := range t.Partitions {
			tp := TopicPartition{t.Topic, int(t.Partitions[i].Partition)}
			if at, asked := slices.BinarySearchFunc(p.positions, tp, comparePosition); asked {
				result[at] = c.fetched(p.positions[at], &t.Partitions[i], &taken)
			}
		}
	}
	for i, from := range p.positions {
		if result[i].Topic == "" {
			result[i] = Fetched{TopicPartition: from.TopicPartition, Next: from.Offset, Err: silent(from.TopicPartition)}
		}
	}
	return result, nil
}

// request is the Fetch request of a poll. It begins with another log at each turn: the first ones get their bytes
// first.
func (p *poll) request(turn int) *kmsg.FetchRequest {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.MaxWaitMillis, r.MinBytes = fetchVersion, int32(p.wait.Milliseconds()), 1
	r.IsolationLevel = readCommitted
	r.SessionID, r.SessionEpoch = -1, -1 // no session: every request names all logs
	first, total := turn%len(p.positions), 0
	for _, positions := range byTopic(slices.Concat(p.positions[first:], p.positions[:first])) {
		t := kmsg.FetchRequestTopic{Topic: positions[0].Topic}
		t.Partitions = make([]kmsg.FetchRequestTopicPartition, len(positions))
		for i, from := range positions {
			size := cmp.Or(max(from.MaxBytes, 0), defaultMaxBytes)
			total += size
			t.Partitions[i] = kmsg.NewFetchRequestTopicPartition()
			t.Partitions[i].Partition = int32(from.Partition)
			t.Partitions[i].FetchOffset = from.Offset
			t.Partitions[i].PartitionMaxBytes = int32(size)
		}
		r.Topics = append(r.Topics, t)
	}
	r.MaxBytes = int32(min(total, wire.MaxResponse))
	return r
}

// comparePosition orders positions by their logs.
func comparePosition(p Position, tp TopicPartition) int { return compareLogs(p.TopicPartition, tp) }

// fetched is what a response says of one log; taken is what its records take in memory so far.
func (c *cluster) fetched(from Position, p *kmsg.FetchResponseTopicPartition, taken *int) Fetched {
	f := Fetched{TopicPartition: from.TopicPartition, Next: from.Offset}
	c.outage.allowed("read", f.Topic, p.ErrorCode)
	switch {
	case kafka.Error(p.ErrorCode) == kafka.OffsetOutOfRange:
		f.Err = ErrOutOfRange
	case p.ErrorCode != 0:
		if moved(p.ErrorCode) {
			c.refresh()
		}
		f.Err = code("fetch", p.ErrorCode, "")
	default:
		f.Start, f.End = p.LogStartOffset, p.HighWatermark
		f.Records, f.Next, f.Err = decode(from, p, taken)
	}
	return f
}

// bounds fills in where the logs begin and end whose offset is out of range: the response does not say it.
func (c *Client) bounds(ctx context.Context, result []Fetched) {
	var logs []TopicPartition
	for _, f := range result {
		if errors.Is(f.Err, ErrOutOfRange) {
			logs = append(logs, f.TopicPartition)
		}
	}
	if len(logs) == 0 {
		return
	}
	starts, err := c.Starts(ctx, logs)
	ends, eerr := c.Ends(ctx, logs)
	for i, f := range result {
		start, end := starts[f.TopicPartition], ends[f.TopicPartition]
		switch {
		case !errors.Is(f.Err, ErrOutOfRange):
		case err != nil || eerr != nil:
			result[i].Err = errors.Join(err, eerr)
		case f.Next >= start && f.Next <= end: // it was appended to since
			result[i].Err = fault.New(fault.Unavailable, "%s/%d: %w for a moment", f.Topic, f.Partition,
				kafka.OffsetNotAvailable)
		default:
			result[i].Start, result[i].End = start, end
		}
	}
}
