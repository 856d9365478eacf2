package brokertest

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// create makes a topic. The caller holds the lock.
func (m *Memory) create(t broker.Topic) {
	m.created++
	m.topics[t.Name] = &memoryTopic{
		id: "topic-" + strconv.Itoa(m.created), topic: t, logs: make([]memoryLog, t.Partitions),
	}
}

// Identities implements broker.Log.
func (m *Memory) Identities(_ context.Context, topics []string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	ids := map[string]string{}
	for _, name := range topics {
		if t, ok := m.topics[name]; ok {
			ids[name] = t.id
		}
	}
	return ids, nil
}

// Logs are those of each topic, as broker.Client has them.
func (m *Memory) Logs(_ context.Context, topics []string) (map[string][]broker.TopicPartition, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	logs := map[string][]broker.TopicPartition{}
	for _, name := range topics {
		if t, ok := m.topics[name]; ok {
			for p := range t.logs {
				logs[name] = append(logs[name], broker.TopicPartition{Topic: name, Partition: p})
			}
		}
	}
	return logs, nil
}

// Delete deletes topics, and leaves what groups committed of them: Kafka deletes that too, others do not.
func (m *Memory) Delete(topics ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range topics {
		delete(m.topics, name)
	}
	m.wake()
}

// Recreate deletes topics and creates them anew.
func (m *Memory) Recreate(topics ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range topics {
		m.create(m.topics[name].topic)
	}
	m.wake()
}

// Grow adds partitions to a topic.
func (m *Memory) Grow(topic string, partitions int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.topics[topic]
	t.logs = append(t.logs, make([]memoryLog, partitions-len(t.logs))...)
	m.wake()
}

// Cut forgets the records of a log from end on, as a cluster does that loses what it acknowledged.
func (m *Memory) Cut(tp broker.TopicPartition, end int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(tp)
	if err != nil || end < l.start || end > l.end() {
		panic(fmt.Sprintf("brokertest: cut %v at %d", tp, end))
	}
	l.records = slices.Clone(l.records[:end-l.start])
	m.wake()
}
