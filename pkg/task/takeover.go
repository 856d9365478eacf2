package task

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// claimer makes tasks this instance's own: claim, empty what is of no use, find where reading begins, restore.
type claimer[T Task] struct {
	*tasks[T]
	topics  *topicWatch[T]
	reader  *reader[T]
	commits *committer[T]
	added   []int // partitions that are to be taken over
}

// Add has a partition taken over that is not this instance's yet.
func (c *claimer[T]) Add(partition int) {
	if _, ok := c.find(partition); !ok && !slices.Contains(c.added, partition) {
		c.added = append(c.added, partition)
	}
}

// Remove gives a partition up for good.
func (c *claimer[T]) Remove(partition int) {
	c.added = slices.DeleteFunc(c.added, func(p int) bool { return p == partition })
	if i, ok := c.find(partition); ok {
		c.owned[i].part().giveUp()
		c.owned = slices.Delete(c.owned, i, i+1)
	}
}

// takeOverLost claims the partitions that were added, and again the tasks that were lost, once nothing of them is
// under way and if the generation holds.
func (c *claimer[T]) takeOverLost(ctx context.Context) error {
	ps := slices.Clone(c.added)
	for _, t := range c.owned {
		if p := t.part(); p.lost && c.h.Released(t) {
			ps = append(ps, p.Number)
		}
	}
	if len(ps) == 0 {
		return nil
	}
	if err := c.gen.Holds(ctx); err != nil {
		if fault.ClassOf(err) == fault.Conflict {
			return err
		}
		return nil // the broker is away: ask again with the next step
	}
	err := c.takeOver(ctx, ps)
	if err == nil {
		c.added = nil
	}
	return err
}

// takeOver makes this instance the one that decides for some partitions. It returns when the tasks are whole, or with
// an error when the generation is over.
func (c *claimer[T]) takeOver(ctx context.Context, partitions []int) error {
	return c.insist(ctx, fault.Conflict, "partitions cannot be taken over", func(again bool) error {
		if again {
			if err := c.gen.Holds(ctx); fault.ClassOf(err) == fault.Conflict {
				return err
			}
		}
		claimed := make([]T, len(partitions))
		for i, p := range partitions {
			claimed[i] = c.newTask(p)
		}
		if err := c.claimAndRestore(ctx, claimed); err != nil {
			for _, t := range claimed {
				t.part().cancel()
			}
			return err
		}
		for _, t := range claimed {
			c.put(t)
			t.part().restoring = false
		}
		c.reader.SeldomNow() // they may have been behind in all inputs
		return nil
	})
}

func (c *claimer[T]) newTask(partition int) T {
	p := NewPartition(c.ctx, partition, c.Inputs)
	p.restoring = true
	return c.h.New(p)
}

// claimAndRestore runs the steps once for all tasks together.
func (c *claimer[T]) claimAndRestore(ctx context.Context, claimed []T) error {
	began := time.Now()
	logs, err := c.topics.identify(ctx) // before anything is read of them
	if err != nil {
		return err
	}
	if err := c.h.Locate(ctx, claimed); err != nil {
		return err
	}
	for _, t := range claimed {
		if err := c.claim(ctx, t, logs); err != nil {
			return err
		}
	}
	c.tellReplaced(claimed)
	if err := c.reset(ctx, claimed); err != nil {
		return err
	}
	if err := c.findStarts(ctx, claimed); err != nil {
		return err
	}
	if err := c.h.Restore(ctx, claimed); err != nil {
		return err
	}
	c.Logger.Debug("partitions taken over", "partitions", len(claimed), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// claim writes a fresh owner and reads what the store keeps of a task. What another version stored, or what is not
// whole, or of another log, or contradicted by the log, is to be emptied.
func (c *claimer[T]) claim(ctx context.Context, t T, logs map[string]string) error {
	p := t.part()
	p.owner = uuid.NewString()
	m, err := c.Store.Claim(ctx, p.Number, p.owner)
	if err != nil {
		return err
	}
	p.found(m, logs)
	whole := !c.refold[p.Number] && len(p.Replaced) == 0 && c.h.Usable(t, m.FoldVersion)
	if whole {
		whole, err = c.whole(ctx, t)
	}
	if !whole {
		p.Emptied, p.Stored = true, map[string]int64{}
	}
	c.Count(tasksClaimed, 1)
	return err
}

// whole says whether the store has every key that the last change of a task left there, whoever made it.
func (c *claimer[T]) whole(ctx context.Context, t T) (bool, error) {
	p := t.part()
	out := c.Store.Apply(ctx, []taskstore.Change{{
		Partition: p.Number, Owner: p.owner, Seq: p.seq, Kept: p.counted(c.Store, c.h.Counted(t)),
	}})[0]
	switch {
	case out.Err != nil:
		return false, out.Err
	case out.Verdict == taskstore.Fenced:
		return false, errClaimed
	case out.Verdict == taskstore.Lost:
		c.Count(tasksLost, 1, telemetry.Reason.String(out.Verdict.String()))
		c.Logger.Warn("redis lost some keys of a partition, folding it from the start", "partition", p.Number)
		return false, nil
	}
	return true, nil
}

var errClaimed = fault.New(fault.Unavailable, "a partition was claimed by another instance meanwhile")

// reset deletes what the store keeps of tasks that begin anew.
func (c *claimer[T]) reset(ctx context.Context, claimed []T) error {
	emptied := map[int]taskstore.Emptied{}
	for _, t := range claimed {
		if p := t.part(); p.Emptied {
			emptied[p.Number] = taskstore.Emptied{Owner: p.owner, Spared: c.h.Spared(t)}
		}
	}
	if len(emptied) == 0 {
		return nil
	}
	seqs, v, err := c.Store.Reset(ctx, c.Version, emptied)
	if err != nil {
		return err
	}
	if v != taskstore.Applied {
		return errClaimed
	}
	for _, t := range claimed {
		if p := t.part(); p.Emptied {
			p.seq = seqs[p.Number]
			delete(c.refold, p.Number) // a fold that is interrupted from here on goes on
		}
	}
	return nil
}

// findStarts sets where the inputs are read from.
func (c *claimer[T]) findStarts(ctx context.Context, claimed []T) error {
	var inputs []broker.TopicPartition
	for _, t := range claimed {
		for _, in := range t.part().Inputs {
			inputs = append(inputs, in.TopicPartition)
		}
	}
	starts, err := c.Log.Starts(ctx, inputs)
	if err != nil {
		return err
	}
	ends, err := c.Log.Ends(ctx, inputs) // after the claim: whoever had a task reads on until then
	if err != nil {
		return err
	}
	for _, t := range claimed {
		for _, in := range t.part().Inputs {
			in.End = ends[in.TopicPartition]
			if err := c.findStart(t.part(), in, starts[in.TopicPartition]); err != nil {
				return err
			}
		}
	}
	return nil
}

// findStart sets where one input is read from: the position in the store when there is one, otherwise the committed
// offset, never the larger of both (a restored store may have lost what lies between). A log that took the place of
// another, or is shorter than what was read of it, is read from its start: what was committed says nothing about it.
func (c *claimer[T]) findStart(p *Partition, in *Input, start int64) error {
	c.commits.last(in, p.Replaced[in.Topic])
	at, kept := p.Stored[in.name]
	switch {
	case kept && at > in.End:
		return c.Shorter(p, in.TopicPartition, at, in.End)
	case kept:
		in.Cursor = at
	case c.FromCommitted && in.committed >= 0:
		in.Cursor = in.committed
	default:
		in.Cursor = start
	}
	// An emptied store knows nothing of what lies before the cursor, until retention takes it: then nobody does.
	in.since = in.Cursor
	if at, kept := p.Stored[in.sinceName]; kept {
		in.since = at
	}
	in.FromStart = in.since <= start
	return nil
}
