package task

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// errRefold: what the store keeps is not worth keeping (the log contradicts it, or it cannot be read).
var errRefold = errors.New("the store is folded anew")

// Refold has the store of a partition emptied at its next claim. Restore returns its error; anywhere else Lose follows.
func (e *Engine[T]) Refold(p *Partition) error {
	e.refold[p.Number] = true
	return errRefold
}

// Shorter is Refold for a log that ends before what was read of it, and says so.
func (e *Engine[T]) Shorter(p *Partition, log broker.TopicPartition, at, end int64) error {
	e.tellShorter(log, at, end)
	return e.Refold(p)
}

// takeOverLost claims the partitions that were added, and again the tasks that were lost, once nothing of them is
// under way and if the generation holds.
func (e *Engine[T]) takeOverLost(ctx context.Context) error {
	ps := slices.Clone(e.added)
	for _, t := range e.tasks {
		if p := t.part(); p.lost && e.h.Released(t) {
			ps = append(ps, p.Number)
		}
	}
	if len(ps) == 0 {
		return nil
	}
	if err := e.gen.Holds(ctx); err != nil {
		if fault.ClassOf(err) == fault.Conflict {
			return err
		}
		return nil // the broker is away: ask again with the next step
	}
	if err := e.takeOver(ctx, ps); err != nil {
		return err
	}
	e.added = nil
	return nil
}

// takeOver makes this instance the one that decides for some partitions. Always the same steps: claim, find where the
// inputs begin, restore. It returns when the tasks are whole, or with an error when the generation is over.
func (e *Engine[T]) takeOver(ctx context.Context, partitions []int) error {
	for tries := 1; ; tries++ {
		tasks := make([]T, len(partitions))
		for i, p := range partitions {
			tasks[i] = e.newTask(p)
		}
		err := e.claimAndRestore(ctx, tasks)
		if err == nil {
			for _, t := range tasks {
				e.put(t)
				t.part().restoring = false
				delete(e.refold, t.part().Number)
			}
			e.SeldomNow() // they may have been behind in all inputs
			return nil
		}
		for _, t := range tasks {
			t.part().cancel()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fault.ClassOf(err) == fault.Conflict {
			return err
		}
		if tries == 1 {
			e.Logger.Warn("taking over partitions, trying again", "error", fault.FirstLine(err.Error()))
		}
		e.status.set(false, "partitions cannot be taken over: "+fault.FirstLine(err.Error()))
		if err := wait.Sleep(ctx, min(wait.Backoff(tries), tryAgainWithin)); err != nil {
			return err
		}
		if err := e.gen.Holds(ctx); fault.ClassOf(err) == fault.Conflict {
			return err
		}
	}
}

func (e *Engine[T]) newTask(partition int) T {
	p := NewPartition(e.ctx, partition, e.Inputs)
	p.restoring = true
	return e.h.New(p)
}

// claimAndRestore runs the steps once for all tasks together.
func (e *Engine[T]) claimAndRestore(ctx context.Context, tasks []T) error {
	began := time.Now()
	logs, err := e.identify(ctx) // before anything is read of them
	if err != nil {
		return err
	}
	if err := e.h.Locate(ctx, tasks); err != nil {
		return err
	}
	for _, t := range tasks {
		if err := e.claim(ctx, t, logs); err != nil {
			return err
		}
	}
	e.tellReplaced(tasks)
	if err := e.resetEmptied(ctx, tasks); err != nil {
		return err
	}
	if err := e.findStarts(ctx, tasks); err != nil {
		return err
	}
	if err := e.h.Restore(ctx, tasks); err != nil {
		return err
	}
	e.Logger.Debug("partitions taken over", "partitions", len(tasks), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// claim writes a fresh owner and reads what the store keeps of a task. What another version stored, or what is not
// whole, or of another log, or contradicted by the log, is to be emptied.
func (e *Engine[T]) claim(ctx context.Context, t T, logs map[string]string) error {
	p := t.part()
	p.owner = uuid.NewString()
	m, err := e.Store.Claim(ctx, p.Number, p.owner)
	if err != nil {
		return err
	}
	p.seq = m.Seq
	p.compareLogs(m.Fields, logs)
	for name, text := range m.Fields {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && !strings.HasPrefix(name, PrefixLog) {
			p.Stored[name] = n
		}
	}
	whole := !e.refold[p.Number] && len(p.Replaced) == 0 && e.h.Usable(t, m.FoldVersion)
	if whole {
		whole, err = e.whole(ctx, t)
	}
	if !whole {
		p.Emptied, p.Stored = true, map[string]int64{}
	}
	e.count(tasksClaimed, 1)
	return err
}

// whole says whether the store has every key that the last change of a task left there, whoever made it.
func (e *Engine[T]) whole(ctx context.Context, t T) (bool, error) {
	p := t.part()
	out := e.Store.Apply(ctx, []taskstore.Change{{
		Partition: p.Number, Owner: p.owner, Seq: p.seq, Kept: e.counted(t),
	}})[0]
	switch {
	case out.Err != nil:
		return false, out.Err
	case out.Verdict == taskstore.Fenced:
		return false, errClaimed
	case out.Verdict == taskstore.Lost:
		e.count(tasksLost, 1, telemetry.Reason.String(out.Verdict.String()))
		e.Logger.Warn("redis lost some keys of a partition, folding it from the start", "partition", p.Number)
		return false, nil
	}
	return true, nil
}

// counted are the full names of the keys of a task whose loss is to be noticed. They are seldom others than last time.
func (e *Engine[T]) counted(t T) []string {
	p, rests := t.part(), e.h.Counted(t)
	if !slices.Equal(rests, p.countedRests) {
		p.countedRests, p.countedKeys = slices.Clone(rests), make([]string, len(rests))
		for i, rest := range rests {
			p.countedKeys[i] = e.Store.Key(p.Number, rest)
		}
	}
	return p.countedKeys
}

var errClaimed = fault.New(fault.Unavailable, "a partition was claimed by another instance meanwhile")

// resetEmptied deletes what the store keeps of tasks that begin anew. Those that leave the same keys go together: each
// reset looks through all keys of the service.
func (e *Engine[T]) resetEmptied(ctx context.Context, tasks []T) error {
	owners := map[string]map[int]string{} // by what is left
	left := map[string][]string{}
	for _, t := range tasks {
		p := t.part()
		if !p.Emptied {
			continue
		}
		prefixes := e.h.Spared(t)
		key := strings.Join(prefixes, " ")
		if owners[key] == nil {
			owners[key], left[key] = map[int]string{}, prefixes
		}
		owners[key][p.Number] = p.owner
	}
	for key, owners := range owners {
		seqs, v, err := e.Store.Reset(ctx, owners, e.Version, left[key]...)
		if err != nil {
			return err
		}
		if v != taskstore.Applied {
			return errClaimed
		}
		for _, t := range tasks {
			if seq, ok := seqs[t.part().Number]; ok {
				t.part().seq = seq
			}
		}
	}
	return nil
}

// findStarts sets where the inputs are read from.
func (e *Engine[T]) findStarts(ctx context.Context, tasks []T) error {
	var inputs []broker.TopicPartition
	for _, t := range tasks {
		for _, in := range t.part().Inputs {
			inputs = append(inputs, in.TopicPartition)
		}
	}
	starts, err := e.Log.Starts(ctx, inputs)
	if err != nil {
		return err
	}
	ends, err := e.Log.Ends(ctx, inputs) // after the claim: whoever had a task reads on until then
	if err != nil {
		return err
	}
	for _, t := range tasks {
		for _, in := range t.part().Inputs {
			if err := e.findStart(t.part(), in, starts[in.TopicPartition], ends[in.TopicPartition]); err != nil {
				return err
			}
		}
	}
	return nil
}

// findStart sets where one input is read from: the position in the store when there is one, otherwise the committed
// offset, never the larger of both (a restored store may have lost what lies between). A log that took the place of
// another, or is shorter than what was read of it, is read from its start: what was committed says nothing about it.
func (e *Engine[T]) findStart(p *Partition, in *Input, start, end int64) error {
	in.End = end
	in.committed = e.gen.Committed(in.TopicPartition)
	if at, ok := e.stored[in.TopicPartition]; ok { // committed since the generation began
		in.committed = at
	}
	if p.Replaced[in.Topic] || in.committed > end {
		in.committed = unknown
		e.stored[in.TopicPartition] = unknown
	}
	at, kept := p.Stored[in.name]
	switch {
	case kept && at > end:
		return e.Shorter(p, in.TopicPartition, at, end)
	case kept:
		in.Cursor = at
	case e.FromCommitted && in.committed >= 0:
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
