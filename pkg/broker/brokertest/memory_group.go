package brokertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// memoryGroup is a consumer group. A rebalance is a barrier: the serving members are told to stop, and the next
// generation begins when all have come back, or without those that did not within the rebalance time-out.
type memoryGroup struct {
	generation int
	members    []*memoryMember // in order of joining, which is the order of assignment
	joined     int             // members ever joined, for their names
	committed  map[broker.TopicPartition]int64
}

type memoryMember struct {
	id      string
	topics  []string
	logs    int                // of each topic
	waiting bool               // at the barrier
	stop    context.CancelFunc // of the generation it serves; nil while it waits
	current *memoryGeneration
}

type memoryGeneration struct {
	memory    *Memory
	group     *memoryGroup
	member    *memoryMember
	number    int
	ended     bool // told to stop, maybe before its member ran
	assigned  []broker.TopicPartition
	committed map[broker.TopicPartition]int64
}

// Join implements broker.Log. Members are called member-1, member-2 … in the order in which they joined.
func (m *Memory) Join(ctx context.Context, group string, topics []string, partitions int,
	serve func(context.Context, broker.Generation) error) error {
	if err := m.awaitTopics(ctx, topics, partitions); err != nil || ctx.Err() != nil {
		return err
	}
	m.mu.Lock()
	g, ok := m.groups[group]
	if !ok {
		g = &memoryGroup{committed: map[broker.TopicPartition]int64{}}
		m.groups[group] = g
	}
	g.joined++
	me := &memoryMember{id: fmt.Sprintf("member-%d", g.joined), topics: topics, logs: partitions}
	m.mu.Unlock()
	defer m.leave(g, me)
	for failures := 0; ; {
		gen, serving := m.nextGeneration(ctx, g, me)
		if gen == nil {
			return nil
		}
		err := serve(serving, gen)
		asked := serving.Err() != nil
		me.stop()
		switch {
		case ctx.Err() != nil:
			return nil
		case fault.ClassOf(err) == fault.Permanent:
			return err
		case asked:
			failures = 0
		default: // it came back by itself: a pause, so that a failure is not a loop of rebalances
			failures = min(failures+1, 6)
			select {
			case <-time.After(50 * time.Millisecond << failures):
			case <-ctx.Done():
			}
		}
	}
}

func (m *Memory) awaitTopics(ctx context.Context, topics []string, partitions int) error {
	for ctx.Err() == nil {
		m.mu.Lock()
		changed := m.changed
		var counts []int
		for _, name := range topics {
			if t, ok := m.topics[name]; ok && m.down == nil {
				counts = append(counts, len(t.logs))
			}
		}
		m.mu.Unlock()
		if len(counts) == len(topics) {
			if len(counts) > 0 && slices.Min(counts) < partitions {
				return fault.New(fault.Permanent, "the topics %s have %v partitions, not the %d configured",
					strings.Join(topics, ", "), counts, partitions)
			}
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return nil
}

// nextGeneration waits at the barrier. It returns nil when ctx ends.
func (m *Memory) nextGeneration(ctx context.Context, g *memoryGroup, me *memoryMember) (
	*memoryGeneration, context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(g.members, me) {
		g.members = append(g.members, me)
	}
	me.waiting, me.current = true, nil
	g.interrupt()
	m.wake()
	timeout := time.NewTimer(m.RebalanceTimeout)
	defer timeout.Stop()
	for ctx.Err() == nil {
		if m.down == nil {
			m.assign(g)
		}
		if me.current != nil {
			serving, stop := context.WithCancel(ctx)
			me.stop = stop
			if me.current.ended {
				stop()
			}
			return me.current, serving
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
			m.mu.Lock()
		case <-timeout.C:
			m.mu.Lock()
			g.members = slices.DeleteFunc(g.members, func(o *memoryMember) bool { return !o.waiting })
		case <-ctx.Done():
			m.mu.Lock()
		}
	}
	return nil, nil
}

// interrupt tells the serving members that their generation ends.
func (g *memoryGroup) interrupt() {
	for _, o := range g.members {
		if o.current != nil {
			o.current.ended = true
		}
		if o.stop != nil {
			o.stop()
		}
	}
}

// assign begins the next generation when every member is at the barrier.
func (m *Memory) assign(g *memoryGroup) {
	if len(g.members) == 0 || slices.ContainsFunc(g.members, func(o *memoryMember) bool { return !o.waiting }) {
		return
	}
	g.generation++
	for i, o := range g.members {
		gen := &memoryGeneration{memory: m, group: g, member: o, number: g.generation,
			committed: map[broker.TopicPartition]int64{}}
		for _, topic := range o.topics {
			n := o.logs
			for p := i * n / len(g.members); p < (i+1)*n/len(g.members); p++ {
				tp := broker.TopicPartition{Topic: topic, Partition: p}
				gen.assigned = append(gen.assigned, tp)
				if offset, ok := g.committed[tp]; ok {
					gen.committed[tp] = offset
				}
			}
		}
		o.waiting, o.stop, o.current = false, nil, gen
	}
	m.wake()
}

func (m *Memory) leave(g *memoryGroup, me *memoryMember) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(g.members, me); i >= 0 {
		g.members = slices.Delete(g.members, i, i+1)
		g.interrupt()
		m.wake()
	}
}

// Rebalance makes all members of a group stop and join again.
func (m *Memory) Rebalance(group string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g, ok := m.groups[group]; ok {
		g.interrupt()
	}
}

// Expire drops a member as a session time-out does: the others take over its partitions, and it is not told. It learns
// it from Holds or Commit, and joins again when its serve returns.
func (m *Memory) Expire(group, member string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.groups[group]
	if !ok {
		return
	}
	g.members = slices.DeleteFunc(g.members, func(o *memoryMember) bool { return o.id == member })
	g.interrupt()
	if len(g.members) == 0 {
		g.generation++
	}
	m.wake()
}

// Assignments returns what each member of a group serves now; members at a rebalance's barrier have nothing.
func (m *Memory) Assignments(group string) map[string][]broker.TopicPartition {
	m.mu.Lock()
	defer m.mu.Unlock()
	assignments := map[string][]broker.TopicPartition{}
	if g, ok := m.groups[group]; ok {
		for _, o := range g.members {
			assignments[o.id] = nil
			if o.current != nil {
				assignments[o.id] = slices.Clone(o.current.assigned)
			}
		}
	}
	return assignments
}

// Committed returns the offsets committed by a group.
func (m *Memory) Committed(group string) map[broker.TopicPartition]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if g, ok := m.groups[group]; ok {
		return maps.Clone(g.committed)
	}
	return nil
}

func (g *memoryGeneration) ID() string { return fmt.Sprintf("%s@%d", g.member.id, g.number) }

func (g *memoryGeneration) Assigned() []broker.TopicPartition { return slices.Clone(g.assigned) }

func (g *memoryGeneration) Committed(tp broker.TopicPartition) int64 {
	if offset, ok := g.committed[tp]; ok {
		return offset
	}
	return -1
}

func (g *memoryGeneration) Commit(ctx context.Context, offsets map[broker.TopicPartition]int64) error {
	g.memory.mu.Lock()
	defer g.memory.mu.Unlock()
	if err := g.holds(ctx); err != nil {
		return err
	}
	maps.Copy(g.group.committed, offsets)
	return nil
}

func (g *memoryGeneration) Holds(ctx context.Context) error {
	g.memory.mu.Lock()
	defer g.memory.mu.Unlock()
	return g.holds(ctx)
}

// holds is true also while a rebalance waits for this member: nobody else has its partitions yet.
func (g *memoryGeneration) holds(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return fault.As(fault.Unavailable, ctx.Err())
	case g.memory.down != nil:
		return g.memory.down
	case g.number != g.group.generation || g.member.current != g || !slices.Contains(g.group.members, g.member):
		return fault.New(fault.Conflict, "generation %s is over", g.ID())
	}
	return nil
}
