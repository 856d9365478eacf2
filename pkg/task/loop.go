package task

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// Go runs f beside the engine, which waits for it before it ends. f reports by Post or Wake.
func (e *Engine[T]) Go(f func()) { e.beside.Go(f) }

// Post has the engine's goroutine call f. It blocks until that takes it.
func (e *Engine[T]) Post(f func()) { e.inbox <- f }

// Wake has the engine call Handler.Work soon. It does not block.
func (e *Engine[T]) Wake() {
	select {
	case e.awake <- struct{}{}:
	default: // it will
	}
}

// Leaving says that nothing new may begin.
func (e *Engine[T]) Leaving() bool { return e.leaving }

// Tasks are those of this instance, by partition, lost ones among them.
func (e *Engine[T]) Tasks() []T { return e.tasks }

// Task returns the one of a partition; ok is false when it is not this instance's.
func (e *Engine[T]) Task(partition int) (t T, ok bool) {
	if i, ok := e.find(partition); ok {
		return e.tasks[i], true
	}
	return t, false
}

// find returns where the task of a partition is, or belongs.
func (e *Engine[T]) find(partition int) (i int, ok bool) {
	return slices.BinarySearchFunc(e.tasks, partition, func(t T, p int) int { return t.part().Number - p })
}

// put puts a task in the place of the one that had its partition, if any.
func (e *Engine[T]) put(t T) {
	i, ok := e.find(t.part().Number)
	if !ok {
		e.tasks = slices.Insert(e.tasks, i, t)
	}
	e.tasks[i] = t
}

// Context ends when the engine has left: that of everything beside it.
func (e *Engine[T]) Context() context.Context { return e.ctx }

// Generation is the membership that the engine serves.
func (e *Engine[T]) Generation() broker.Generation { return e.gen }

// Do has the engine's goroutine call f between two steps, and waits for that. It may be called by anybody else, and
// has no effect when the engine has ended.
func (e *Engine[T]) Do(f func()) {
	done := make(chan struct{})
	select {
	case e.asks <- func() { f(); close(done) }:
		<-done
	case <-e.ended:
	}
}

// Add has a partition taken over that is not this instance's yet.
func (e *Engine[T]) Add(partition int) {
	if _, ok := e.find(partition); !ok && !slices.Contains(e.added, partition) {
		e.added = append(e.added, partition)
	}
}

// Remove gives a partition up for good.
func (e *Engine[T]) Remove(partition int) {
	e.added = slices.DeleteFunc(e.added, func(p int) bool { return p == partition })
	if i, ok := e.find(partition); ok {
		e.tasks[i].part().giveUp()
		e.tasks = slices.Delete(e.tasks, i, i+1)
	}
}

// Reclaim has a task claimed anew, although it is not lost.
func (e *Engine[T]) Reclaim(t T) { t.part().giveUp() }

// Serve runs one generation for some partitions until ctx ends, then leaves in order.
func (e *Engine[T]) Serve(ctx context.Context, partitions []int) error {
	defer e.gauges.left()
	defer e.close()
	if len(partitions) > 0 {
		if err := e.takeOver(ctx, partitions); err != nil {
			return unlessOver(ctx, err)
		}
	}
	e.Logger.Info("playing", "generation", e.gen.ID(), "partitions", len(e.tasks))
	e.Go(e.watchTopics)
	for {
		e.report()
		e.fetch(ctx)
		e.wait(ctx)
		if ctx.Err() != nil {
			e.leave()
			return nil
		}
		if e.over {
			return nil
		}
		e.compareTopics()
		if err := e.takeOverLost(ctx); err != nil {
			return unlessOver(ctx, err)
		}
		e.h.Work(ctx)
		e.apply()
		e.h.Publish()
		e.commit()
	}
}

// unlessOver returns the error of a takeover, unless it only says that the generation is over.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil || fault.ClassOf(err) == fault.Conflict {
		return nil
	}
	return err
}

// assigned are the partitions of this generation: partition p of every topic is assigned together.
func (e *Engine[T]) assigned() []int {
	var ps []int
	for _, tp := range e.gen.Assigned() {
		if tp.Topic == e.Inputs[0] {
			ps = append(ps, tp.Partition)
		}
	}
	return ps
}

// wait blocks until something happened, and takes in all that has.
func (e *Engine[T]) wait(ctx context.Context) {
	timer := time.NewTimer(e.nap(time.Now()))
	defer timer.Stop()
	select {
	case <-e.awake:
	case f := <-e.inbox:
		f()
	case f := <-e.asks:
		f()
	case <-timer.C:
		return
	case <-ctx.Done():
		return
	}
	for {
		select {
		case <-e.awake:
		case f := <-e.inbox:
			f()
		case f := <-e.asks:
			f()
		default:
			return
		}
	}
}

// nap is how long the engine may sleep when nothing happens.
func (e *Engine[T]) nap(now time.Time) time.Duration {
	if e.leaving { // nothing is begun any more: only what is under way is waited for
		return wait.BackoffMin
	}
	next := now.Add(CompareEvery)
	sooner := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	if !e.committing && !e.commitAt.IsZero() {
		sooner(e.commitAt)
	}
	for _, t := range e.tasks {
		p := t.part()
		if p.lost || p.change != nil {
			sooner(now.Add(wait.BackoffMin))
			continue
		}
		sooner(p.compared.Add(CompareEvery))
		if e.h.Need(t) != Nothing {
			sooner(e.soonAt)
		}
	}
	if at := e.h.Next(now); !at.IsZero() {
		sooner(at)
	}
	return max(0, next.Sub(now))
}

// report says what the tasks are doing, to readiness and metrics.
func (e *Engine[T]) report() {
	var why []string
	for _, t := range e.tasks {
		p := t.part()
		reasons := []string{" is being folded"}
		if !p.lost {
			reasons = e.h.Unready(t)
		}
		for _, reason := range reasons {
			why = append(why, "partition "+strconv.Itoa(p.Number)+reason)
		}
	}
	if no := e.noStore.Load(); no != nil {
		why = append(why, "redis is unavailable: "+*no)
	}
	if e.missing != "" {
		why = append(why, "topic "+e.missing+" does not exist")
	}
	e.measure(time.Now())
	e.status.set(e.leaving, append(why, e.h.Unwell()...)...)
}

// leaveStep bounds one wait for what is under way while an instance leaves.
const leaveStep = 100 * time.Millisecond

// leave finishes what is under way, publishes it, commits it: no new work, and nothing twice.
func (e *Engine[T]) leave() {
	e.leaving = true
	e.report()
	until := time.Now().Add(e.LeaveWithin)
	for time.Now().Before(until) {
		e.apply()
		e.h.Publish()
		if e.quiet() {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), min(leaveStep, time.Until(until)))
		e.wait(ctx)
		cancel()
		e.h.Work(e.ctx)
	}
	for e.committing {
		(<-e.inbox)()
	}
	e.apply()
	e.report()
	e.commitLast()
}

// quiet says that nothing is under way that leaving should wait for.
func (e *Engine[T]) quiet() bool {
	for _, t := range e.tasks {
		if p := t.part(); !p.lost && p.change != nil {
			return false
		}
	}
	return e.h.Quiet()
}

// close ends all that runs beside the engine, and waits for it.
func (e *Engine[T]) close() {
	e.leaving = true
	close(e.ended)
	e.cancel()
	for _, t := range e.tasks {
		t.part().cancel()
	}
	done := make(chan struct{})
	go func() { e.beside.Wait(); close(done) }()
	for {
		select {
		case <-e.inbox: // nobody goes on with it
		case <-done:
			e.status.out()
			return
		}
	}
}
