package task

import (
	"context"
	"maps"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// What stands for an offset that a group has committed.
const (
	uncommitted = -1 // none
	unknown     = -2 // or of a log that is gone: the next commit says where reading is, 0 as well
)

// commit stores offsets with the group, beside the engine, every CommitEvery.
func (e *Engine[T]) commit() {
	now := time.Now()
	if e.committing || now.Before(e.commitAt) {
		return
	}
	offsets := e.offsets()
	if len(offsets) == 0 {
		e.commitAt = time.Time{}
		return
	}
	e.commitAt = now.Add(e.CommitEvery)
	e.committing = true
	e.Go(func() {
		ctx, cancel := context.WithTimeout(e.ctx, StoreTimeout)
		defer cancel()
		err := e.storeOffsets(ctx, offsets)
		e.Post(func() { e.committed(offsets, err) })
	})
}

// storeOffsets commits with the generation's own id.
func (e *Engine[T]) storeOffsets(ctx context.Context, offsets map[broker.TopicPartition]int64) error {
	ctx, ended := telemetry.Commit(ctx, e.Name)
	err := e.gen.Commit(ctx, offsets)
	ended(err)
	return err
}

// offsets are those that moved since they were committed last.
func (e *Engine[T]) offsets() map[broker.TopicPartition]int64 {
	out := map[broker.TopicPartition]int64{}
	for _, t := range e.tasks {
		p := t.part()
		if p.lost {
			continue
		}
		for i, in := range p.Inputs {
			if at := e.h.Commitable(t, i); at > in.committed && (at > 0 || in.committed == unknown) {
				out[in.TopicPartition] = at
				in.committed = at
			}
		}
	}
	return out
}

func (e *Engine[T]) committed(offsets map[broker.TopicPartition]int64, err error) {
	e.committing = false
	failing := e.refused
	if e.refused = err != nil; !e.refused {
		maps.Copy(e.stored, offsets)
		return
	}
	e.over = fault.ClassOf(err) == fault.Conflict
	for _, t := range e.tasks { // tell them again with the next commit
		for _, in := range t.part().Inputs {
			in.committed = unknown
		}
	}
	if !failing { // one line for a row of them: while a topic is away, each is refused
		e.Logger.Warn("offsets not committed", "error", err)
	}
}

// commitLast stores offsets with the group before the instance leaves.
func (e *Engine[T]) commitLast() {
	offsets := e.offsets()
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), StoreTimeout)
	defer cancel()
	if err := e.storeOffsets(ctx, offsets); err != nil {
		e.Logger.Warn("offsets not committed", "error", err)
	}
}
