package brokertest

import "github.com/troupe-dev/troupe/pkg/broker"

// Rewind sets a group's committed offset, as if the last commits had been lost.
func (m *Memory) Rewind(group string, tp broker.TopicPartition, offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g, ok := m.groups[group]; ok {
		g.committed[tp] = offset
	}
}
