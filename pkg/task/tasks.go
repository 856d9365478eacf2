package task

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// tasks are those of one generation of an instance, and what all parts of the engine share. The engine's goroutine
// owns them.
type tasks[T Task] struct {
	*Instance
	beside
	gen     broker.Generation
	h       Handler[T]
	ctx     context.Context // of the tasks; outlives the generation's until the engine has left
	cancel  context.CancelFunc
	owned   []T          // by partition
	refold  map[int]bool // partitions whose store is to be emptied at the next claim
	leaving bool
}

// Context ends when the engine has left: that of everything beside it.
func (s *tasks[T]) Context() context.Context { return s.ctx }

// Generation is the membership that the engine serves.
func (s *tasks[T]) Generation() broker.Generation { return s.gen }

// Leaving says that nothing new may begin.
func (s *tasks[T]) Leaving() bool { return s.leaving }

// Tasks are those of this instance, by partition, lost ones among them.
func (s *tasks[T]) Tasks() []T { return s.owned }

// Alive are the tasks that are not lost, each looked at when it is its turn.
func (s *tasks[T]) Alive() iter.Seq2[T, *Partition] {
	return func(yield func(T, *Partition) bool) {
		for _, t := range s.owned {
			if p := t.part(); !p.lost && !yield(t, p) {
				return
			}
		}
	}
}

// Task returns the one of a partition; ok is false when it is not this instance's.
func (s *tasks[T]) Task(partition int) (t T, ok bool) {
	if i, ok := s.find(partition); ok {
		return s.owned[i], true
	}
	return t, false
}

// find returns where the task of a partition is, or belongs.
func (s *tasks[T]) find(partition int) (i int, ok bool) {
	return slices.BinarySearchFunc(s.owned, partition, func(t T, p int) int { return t.part().Number - p })
}

// put puts a task in the place of the one that had its partition, if any.
func (s *tasks[T]) put(t T) {
	i, ok := s.find(t.part().Number)
	if !ok {
		s.owned = slices.Insert(s.owned, i, t)
	}
	s.owned[i] = t
}

// lostReplaced is why a task is lost that was restored from logs that are gone, or shorter than what was read of them.
const lostReplaced = "replaced"

// Lose gives a task up: nothing of its memory counts any more, what runs for it is cancelled, and it is claimed anew
// when nothing of it is under way and the group says that the generation still holds.
func (s *tasks[T]) Lose(t T, why string) {
	if p := t.part(); !p.lost {
		p.giveUp()
		s.Count(tasksLost, 1, telemetry.Reason.String(why))
		s.Logger.Warn("task lost, folding again", "partition", p.Number, "why", why)
	}
}

// LoseStored gives a task up together with what is stored of it.
func (s *tasks[T]) LoseStored(t T, why string) {
	s.refold[t.part().Number] = true
	s.Lose(t, why)
}

// Reclaim has a task claimed anew, although it is not lost.
func (s *tasks[T]) Reclaim(t T) { t.part().giveUp() }

// errRefold: what the store keeps is not worth keeping (the log contradicts it, or it cannot be read).
var errRefold = errors.New("the store is folded anew")

// Refold has the store of a partition emptied at its next claim. Restore returns its error; elsewhere call Lose too:
// alone it only marks the partition.
func (s *tasks[T]) Refold(p *Partition) error {
	s.refold[p.Number] = true
	return errRefold
}

// Shorter is Refold for a log that ends before what was read of it, and says so.
func (s *tasks[T]) Shorter(p *Partition, log broker.TopicPartition, at, end int64) error {
	s.tellShorter(log, at, end)
	return s.Refold(p)
}

// tellReplaced says which topics of claimed tasks are others than those that were stored.
func (s *tasks[T]) tellReplaced(claimed []T) {
	topics, n := map[string]bool{}, 0
	for _, t := range claimed {
		if p := t.part(); len(p.Replaced) > 0 {
			maps.Copy(topics, p.Replaced)
			n++
		}
	}
	if n > 0 {
		s.Count(tasksLost, n, telemetry.Reason.String(lostReplaced))
		s.Logger.Error("topics were deleted and created anew: what was kept of them is dropped and folded from their start",
			"topics", slices.Sorted(maps.Keys(topics)), "partitions", n)
	}
}
