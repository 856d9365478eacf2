package projection

import (
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// model is what the live copies of an instance and their shadows have in common. Nothing of it changes after New, so
// both engines read it without a lock.
type model[D any] struct {
	b         Behavior[D]
	topics    []string // that it reads
	cfg       Config
	base      *taskstore.Store // of the keys that are of no copy
	lookEvery time.Duration    // how often requests for a rebuild are looked for; 0: the default
}

// copies are an instance of the engine that folds one copy of each of its partitions: the live ones, or their shadows.
type copies struct {
	*task.Instance
	base   *taskstore.Store
	names  []string // by partition; the engine's goroutine sets them before a claim
	shadow bool     // no reader, and nobody's readiness, depends on it
}

// leaveWithin bounds how long leaving takes: the step under way, and the last commit.
const leaveWithin = 3 * time.Second

func (m *model[D]) copies(shadow bool, log *slog.Logger) *copies {
	names := make([]string, m.cfg.Partitions)
	return &copies{base: m.base, names: names, shadow: shadow, Instance: task.New(task.Config{
		Name: m.b.Name, Log: m.cfg.Log, Store: m.base.Copies(names), Partitions: m.cfg.Partitions,
		Inputs: m.topics, Seldom: m.b.Notes, Version: m.b.version(), FetchBytes: fetchBytes,
		CommitEvery: m.cfg.CommitEvery, LeaveWithin: leaveWithin, Prepare: m.prepare, Logger: log,
	})}
}

// follow reads which copies of some partitions are live, and says whether others were until now. A shadow has no
// pointer to follow.
func (of *copies) follow(ctx context.Context, partitions []int) (moved bool, err error) {
	if of.shadow {
		return false, nil
	}
	asked := make([]taskstore.Asked, len(partitions))
	for i, p := range partitions {
		asked[i] = taskstore.Asked{Key: of.base.Key(p, rebuild.Key), Fields: []string{rebuild.FieldLive}}
	}
	live, err := of.base.Fields(ctx, asked)
	if err != nil {
		return false, err
	}
	for i, p := range partitions {
		moved = moved || of.names[p] != live[i][0]
		of.names[p] = live[i][0]
	}
	return moved, nil
}

// prepare checks the topics, and finds out whether the facts are where the configured number of partitions puts them.
func (m *model[D]) prepare(ctx context.Context) error {
	var topics []broker.Topic
	for i, t := range m.topics {
		topic := broker.Topic{Name: t, Partitions: m.cfg.Partitions, Retention: m.cfg.Retention}
		if m.b.isNote(i) {
			topic.Retention = 0 // kept for ever
		}
		topics = append(topics, topic)
	}
	if err := m.cfg.Log.Check(ctx, topics); err != nil {
		return err
	}
	return event.CheckPlaces(ctx, m.cfg.Log, m.b.Topics, m.cfg.Partitions)
}
