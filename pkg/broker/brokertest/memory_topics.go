package brokertest

import (
	"context"
	"strconv"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// create makes a topic. The caller holds the lock.
func (m *Memory) create(t broker.Topic) {
	m.created++
	m.topics[t.Name] = &memoryTopic{id: "topic-" + strconv.Itoa(m.created), topic: t, logs: make([]memoryLog, t.Partitions)}
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
