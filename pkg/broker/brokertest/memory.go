package brokertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// maxBatchBytes is Kafka's default max.message.bytes, which bounds one batch.
const maxBatchBytes = 1_048_588

// Memory is a broker.Log in memory: no network, no goroutine of its own, and every wait is on a channel or a timer, so
// that it runs inside testing/synctest bubbles (make it inside the bubble). What a network can do to a producer is told
// by OnProduce. Safe for concurrent use.
type Memory struct {
	// MaxWait is how long Fetch waits when there is nothing to read. Set before use; New makes it 500 ms.
	MaxWait time.Duration
	// RebalanceTimeout is how long a rebalance waits for members that are still serving. Set before use; New makes it 30
	// s.
	RebalanceTimeout time.Duration

	mu      sync.Mutex
	topics  map[string]*memoryTopic
	created int // topics ever
	groups  map[string]*memoryGroup
	changed chan struct{} // closed and replaced at every change, which wakes all who wait
	down    error
	fate    func(broker.Batch) Fate
	late    []broker.Batch
}

type memoryTopic struct {
	id    string
	topic broker.Topic
	logs  []memoryLog
}

type memoryLog struct {
	start   int64
	records []broker.Record
}

func (l *memoryLog) end() int64 { return l.start + int64(len(l.records)) }

var _ broker.Log = (*Memory)(nil)

// New returns an empty broker in memory.
func New() *Memory {
	return &Memory{
		MaxWait: 500 * time.Millisecond, RebalanceTimeout: 30 * time.Second,
		topics: map[string]*memoryTopic{}, groups: map[string]*memoryGroup{}, changed: make(chan struct{}),
	}
}

// wake tells all who wait that something changed. The caller holds the lock.
func (m *Memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// log finds one log. The caller holds the lock.
func (m *Memory) log(tp broker.TopicPartition) (*memoryLog, error) {
	t, ok := m.topics[tp.Topic]
	if !ok || tp.Partition < 0 || tp.Partition >= len(t.logs) {
		return nil, fault.New(fault.Unavailable, "no log %s/%d", tp.Topic, tp.Partition)
	}
	return &t.logs[tp.Partition], nil
}

// Provision implements broker.Log.
func (m *Memory) Provision(_ context.Context, topics []broker.Topic) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	for _, t := range topics {
		if _, ok := m.topics[t.Name]; !ok {
			m.create(t)
		}
	}
	m.wake()
	return m.check(topics)
}

// Check implements broker.Log.
func (m *Memory) Check(_ context.Context, topics []broker.Topic) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return m.down
	}
	return m.check(topics)
}

func (m *Memory) check(topics []broker.Topic) error {
	for _, want := range topics {
		t, ok := m.topics[want.Name]
		if !ok {
			return fault.New(fault.Unavailable, "waiting for topic %s: it does not exist yet", want.Name)
		}
		if len(t.logs) < want.Partitions {
			return fault.New(fault.Permanent, "topic %s has %d partitions, not the %d configured",
				want.Name, len(t.logs), want.Partitions)
		}
	}
	return nil
}

// Ends implements broker.Log.
func (m *Memory) Ends(ctx context.Context, logs []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	return m.offsets(ctx, logs, (*memoryLog).end)
}

// Starts implements broker.Log.
func (m *Memory) Starts(ctx context.Context, logs []broker.TopicPartition) (map[broker.TopicPartition]int64, error) {
	return m.offsets(ctx, logs, func(l *memoryLog) int64 { return l.start })
}

func (m *Memory) offsets(ctx context.Context, logs []broker.TopicPartition, of func(*memoryLog) int64) (
	map[broker.TopicPartition]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fault.As(fault.Unavailable, err)
	}
	if m.down != nil {
		return nil, m.down
	}
	found := make(map[broker.TopicPartition]int64, len(logs))
	for _, tp := range logs {
		l, err := m.log(tp)
		if err != nil {
			return nil, err
		}
		found[tp] = of(l)
	}
	return found, nil
}

// Fetch implements broker.Log.
func (m *Memory) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	timeout := time.NewTimer(m.MaxWait)
	defer timeout.Stop()
	for expired := false; ; {
		m.mu.Lock()
		changed, err := m.changed, m.down
		fetched, news := m.fetch(from)
		m.mu.Unlock()
		if ctx.Err() != nil {
			return nil, fault.As(fault.Unavailable, ctx.Err())
		}
		if err == nil && (news || expired) {
			return fetched, nil
		}
		if err != nil && expired { // like a client, it does not fail in a tight loop
			return nil, err
		}
		select {
		case <-changed:
		case <-timeout.C:
			expired = true
		case <-ctx.Done():
		}
	}
}

// fetch reads what is there now; news is false when there is nothing to tell. The caller holds the lock.
func (m *Memory) fetch(from []broker.Position) (fetched []broker.Fetched, news bool) {
	for _, p := range from {
		f := broker.Fetched{TopicPartition: p.TopicPartition, Next: p.Offset}
		l, err := m.log(p.TopicPartition)
		if err != nil {
			f.Err = err
			fetched = append(fetched, f)
			continue
		}
		f.Start, f.End = l.start, l.end()
		if p.Offset < f.Start || p.Offset > f.End {
			f.Err, news = broker.ErrOutOfRange, true
			fetched = append(fetched, f)
			continue
		}
		limit := p.MaxBytes
		if limit <= 0 {
			limit = 1 << 20
		}
		for _, r := range l.records[p.Offset-l.start:] {
			if limit -= recordBytes(r); limit < 0 && len(f.Records) > 0 {
				break
			}
			f.Records = append(f.Records, clone(r))
		}
		if n := len(f.Records); n > 0 {
			f.Next, news = f.Records[n-1].Offset+1, true
		}
		fetched = append(fetched, f)
	}
	return fetched, news
}

// Append puts records into a log directly, as another producer would, and returns the offset of the first. It creates
// nothing and panics when the log does not exist.
func (m *Memory) Append(tp broker.TopicPartition, records ...broker.Record) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(tp)
	if err != nil {
		panic(fmt.Sprintf("brokertest: append: %v", err))
	}
	return m.append(l, broker.Batch{TopicPartition: tp, Records: records})
}

func (m *Memory) append(l *memoryLog, b broker.Batch) int64 {
	base := l.end()
	for _, r := range b.Records {
		r = clone(r)
		r.Topic, r.Partition, r.Offset = b.Topic, b.Partition, l.end()
		if r.Time.IsZero() {
			r.Time = time.Now()
		}
		r.Time = r.Time.Truncate(time.Millisecond) // what a log keeps
		l.records = append(l.records, r)
	}
	m.wake()
	return base
}

// Read returns the whole of one log, or nothing when there is no such log.
func (m *Memory) Read(tp broker.TopicPartition) []broker.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(tp)
	if err != nil {
		return nil
	}
	records := slices.Clone(l.records)
	for i, r := range records {
		records[i] = clone(r)
	}
	return records
}

// ReadTopic returns all records of a topic, partition after partition.
func (m *Memory) ReadTopic(topic string) []broker.Record {
	m.mu.Lock()
	t, ok := m.topics[topic]
	m.mu.Unlock()
	if !ok {
		return nil
	}
	var records []broker.Record
	for p := range t.logs {
		records = append(records, m.Read(broker.TopicPartition{Topic: topic, Partition: p})...)
	}
	return records
}

// Trim forgets the records before start, as retention does. It panics when start is not within the log.
func (m *Memory) Trim(tp broker.TopicPartition, start int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(tp)
	if err != nil || start < l.start || start > l.end() {
		panic(fmt.Sprintf("brokertest: trim %v to %d", tp, start))
	}
	l.records, l.start = slices.Clone(l.records[start-l.start:]), start
	m.wake()
}

// Topics returns the topics that exist, by name.
func (m *Memory) Topics() map[string]broker.Topic {
	m.mu.Lock()
	defer m.mu.Unlock()
	topics := map[string]broker.Topic{}
	for name := range maps.Keys(m.topics) {
		topics[name] = m.topics[name].topic
	}
	return topics
}

func recordBytes(r broker.Record) int { return 24 + len(r.Key) + len(r.Value) + len(r.Headers) }

func clone(r broker.Record) broker.Record {
	r.Key, r.Value, r.Headers = slices.Clone(r.Key), slices.Clone(r.Value), slices.Clone(r.Headers)
	return r
}
