package task

import (
	"context"
	"maps"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// committer stores offsets with the consumer group, so that any tool sees the lag, and, where Config.FromCommitted,
// what a wiped store goes on from.
type committer[T Task] struct {
	*tasks[T]
	committing bool
	refused    bool // the last commit was
	commitAt   time.Time
	stored     map[broker.TopicPartition]int64 // committed in this generation
	over       bool                            // the group said so of the generation
}

// commit stores offsets with the group, beside the engine, every CommitEvery.
func (c *committer[T]) commit() {
	now := time.Now()
	if c.committing || now.Before(c.commitAt) {
		return
	}
	offsets := c.offsets()
	if len(offsets) == 0 {
		c.commitAt = time.Time{}
		return
	}
	c.commitAt = now.Add(c.CommitEvery)
	c.committing = true
	c.Go(func() {
		err := c.send(c.ctx, offsets)
		c.Post(func() { c.committed(offsets, err) })
	})
}

// commitLast stores offsets with the group before the instance leaves.
func (c *committer[T]) commitLast() {
	if offsets := c.offsets(); len(offsets) > 0 {
		c.committed(offsets, c.send(context.Background(), offsets))
	}
}

// send commits with the generation's own id.
func (c *committer[T]) send(ctx context.Context, offsets map[broker.TopicPartition]int64) error {
	ctx, cancel := context.WithTimeout(ctx, StoreTimeout)
	defer cancel()
	ctx, ended := telemetry.Commit(ctx, c.Name)
	err := c.gen.Commit(ctx, offsets)
	ended(err)
	return err
}

// offsets are those that moved since they were committed last.
func (c *committer[T]) offsets() map[broker.TopicPartition]int64 {
	out := map[broker.TopicPartition]int64{}
	for t, p := range c.Alive() {
		for i, in := range p.Inputs {
			if at := c.h.Commitable(t, i); at >= 0 && at > in.committed && (at > 0 || in.committed == unknown) {
				out[in.TopicPartition] = at
				in.committed = at
			}
		}
	}
	return out
}

func (c *committer[T]) committed(offsets map[broker.TopicPartition]int64, err error) {
	c.committing = false
	failing := c.refused
	if c.refused = err != nil; !c.refused {
		maps.Copy(c.stored, offsets)
		return
	}
	c.over = fault.ClassOf(err) == fault.Conflict
	for _, t := range c.owned { // tell them again with the next commit
		for _, in := range t.part().Inputs {
			in.committed = unknown
		}
	}
	if !failing { // one line for a row of them: while a topic is away, each is refused
		c.Logger.Warn("offsets not committed", "error", err)
	}
}

// last sets what the group has committed of an input. gone: of a log that is not there any more, or not so long.
func (c *committer[T]) last(in *Input, gone bool) {
	in.committed = c.gen.Committed(in.TopicPartition)
	if at, ok := c.stored[in.TopicPartition]; ok { // committed since the generation began
		in.committed = at
	}
	if gone || in.committed > in.End {
		in.committed = unknown
		c.stored[in.TopicPartition] = unknown
	}
}
