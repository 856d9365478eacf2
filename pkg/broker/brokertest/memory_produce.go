package brokertest

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Fate is what becomes of a batch on its way to the log and back. The zero value: appended and acknowledged.
type Fate struct {
	// Hold delays append and answer until it is closed. When the producer's ctx ends before, the producer gets Unavailable
	// and the batch joins those that are late.
	Hold <-chan struct{}
	// Answer is what the producer gets instead of the acknowledgement. The batch is appended all the same (the answer was
	// lost), unless it is dropped or late.
	Answer error
	// Drop keeps the batch out of the log. Give an Answer with it, or the log lies.
	Drop bool
	// Late keeps the batch aside until AppendLate: the append of a request that was still on the wire. Give an Answer.
	Late bool
	// Copies is how many times the batch is appended beyond the first.
	Copies int
}

// ErrLost is the answer of a produce that timed out: class Unavailable, outcome unknown.
var ErrLost = fault.New(fault.Unavailable, "the answer was lost")

// OnProduce sets what decides the fate of each batch from now on; nil: all are appended and acknowledged. f runs in the
// producer's goroutine and may block; it must not call Memory's methods other than Append, Read and Late.
func (m *Memory) OnProduce(f func(broker.Batch) Fate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fate = f
}

// Late returns the batches kept aside, oldest first.
func (m *Memory) Late() []broker.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]broker.Batch(nil), m.late...)
}

// AppendLate lets the batches kept aside reach their logs, oldest first.
func (m *Memory) AppendLate() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.late {
		if l, err := m.log(b.TopicPartition); err == nil {
			m.append(l, b)
		}
	}
	m.late = nil
}

// Down makes every call fail with err (class Unavailable when it has none) until Down(nil). Members of groups stay
// members.
func (m *Memory) Down(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && fault.ClassOf(err) == fault.Transient {
		err = fault.As(fault.Unavailable, err)
	}
	m.down = err
	m.wake()
}

// Produce implements broker.Log.
func (m *Memory) Produce(ctx context.Context, batches []broker.Batch, each func(broker.Produced)) {
	seen := map[broker.TopicPartition]bool{}
	for _, b := range batches {
		p := broker.Produced{TopicPartition: b.TopicPartition, Base: -1}
		switch {
		case seen[b.TopicPartition]:
			p.Err = fault.New(fault.Permanent, "two batches for %s/%d in one call", b.Topic, b.Partition)
		default:
			p.Base, p.Err = m.produce(ctx, b)
		}
		seen[b.TopicPartition] = true
		each(p)
	}
}

func (m *Memory) produce(ctx context.Context, b broker.Batch) (int64, error) {
	m.mu.Lock()
	decide, limit := m.fate, m.limit(b.Topic)
	m.mu.Unlock()
	if err := refuse(b, limit); err != nil {
		return -1, err
	}
	var fate Fate
	if decide != nil {
		fate = decide(b)
	}
	if fate.Hold != nil {
		select {
		case <-fate.Hold:
		case <-ctx.Done():
			fate.Answer, fate.Late = fault.As(fault.Unavailable, ctx.Err()), !fate.Drop
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil && !fate.Late {
		return -1, m.down
	}
	l, err := m.log(b.TopicPartition)
	if err != nil {
		return -1, err
	}
	base := l.end()
	for range fate.Copies + 1 {
		switch {
		case fate.Drop:
		case fate.Late:
			m.late = append(m.late, b)
		default:
			m.append(l, b)
		}
	}
	if fate.Answer != nil {
		return -1, fate.Answer
	}
	return base, nil
}

// SetMaxBytes changes how large a batch of a topic may be, as an operator does; 0: Kafka's default.
func (m *Memory) SetMaxBytes(topic string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.topics[topic].topic.MaxBytes = n
}

// limit is how large a batch of a topic may be. The caller holds the lock.
func (m *Memory) limit(topic string) int {
	if t, ok := m.topics[topic]; ok && t.topic.MaxBytes > 0 {
		return t.topic.MaxBytes
	}
	return maxBatchBytes
}

// refuse says why no broker would ever take the batch.
func refuse(b broker.Batch, limit int) error {
	if len(b.Records) == 0 {
		return fault.New(fault.Permanent, "an empty batch for %s/%d", b.Topic, b.Partition)
	}
	size := 0
	for _, r := range b.Records {
		if r.Key == nil {
			return fault.New(fault.Permanent, "a record without a key for %s/%d", b.Topic, b.Partition)
		}
		size += recordBytes(r)
	}
	if size > limit {
		return fault.New(fault.Permanent, "a batch of %d bytes for %s/%d: %w",
			size, b.Topic, b.Partition, broker.ErrTooLarge)
	}
	return nil
}
