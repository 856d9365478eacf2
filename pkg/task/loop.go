package task

import (
	"context"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// Engine runs all tasks of one generation of one instance. Its one goroutine owns all of it; fetches, commits and what
// the handler begins run beside it (Go) and report to it (Post, Wake). A handler uses what is exported of its parts.
type Engine[T Task] struct {
	*tasks[T]
	*topicWatch[T]
	*reader[T]
	*writer[T]
	*committer[T]
	*claimer[T]
}

// NewEngine returns the engine of one generation, which owns nothing yet. What begin starts beside it ends with
// Context. Serve must be called.
func NewEngine[T Task](
	ctx context.Context, i *Instance, g broker.Generation, begin func(*Engine[T]) Handler[T],
) *Engine[T] {
	s := &tasks[T]{Instance: i, beside: newBeside(), gen: g, refold: map[int]bool{}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e := &Engine[T]{
		tasks: s, topicWatch: &topicWatch[T]{tasks: s}, writer: &writer[T]{tasks: s},
		reader:    &reader[T]{tasks: s, asked: map[broker.TopicPartition]*Input{}},
		committer: &committer[T]{tasks: s, stored: map[broker.TopicPartition]int64{}},
	}
	e.claimer = &claimer[T]{tasks: s, topics: e.topicWatch, reader: e.reader, commits: e.committer}
	s.h = begin(e)
	return e
}

// Run waits for the topics and takes part in the consumer group until ctx ends. It calls begin for each generation, and
// serves that with the handler that begin returns; then it leaves in order: no new work, finish, publish, commit.
// Outages are waited out. It returns an error only for what waiting cannot mend, of class Permanent.
func Run[T Task](ctx context.Context, i *Instance, begin func(*Engine[T]) Handler[T]) error {
	defer i.gauges.open(telemetry.Participant.String(i.Name), i.Partitions, i.Gauges)()
	err := i.insist(ctx, fault.Permanent, "waiting for topics", func(bool) error { return i.Prepare(ctx) })
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	i.takesNoPart()
	return i.Log.Join(ctx, i.Name, i.Inputs, i.Partitions, func(ctx context.Context, g broker.Generation) error {
		return NewEngine(ctx, i, g, begin).Serve(ctx, i.assigned(g))
	})
}

// assigned are the partitions of a generation: partition p of every topic is assigned together.
func (i *Instance) assigned(g broker.Generation) []int {
	var ps []int
	for _, tp := range g.Assigned() {
		if tp.Topic == i.Inputs[0] {
			ps = append(ps, tp.Partition)
		}
	}
	return ps
}

// Serve runs one generation for some partitions until ctx ends, then leaves in order.
func (e *Engine[T]) Serve(ctx context.Context, partitions []int) error {
	defer e.gauges.left()
	defer e.close()
	if len(partitions) > 0 {
		if err := e.takeOver(ctx, partitions); err != nil {
			return unlessOver(ctx, err)
		}
	}
	e.Logger.Info("playing", "generation", e.gen.ID(), "partitions", len(e.owned))
	e.Go(e.watchTopics)
	for {
		e.report()
		e.fetch(ctx)
		e.wait(ctx, e.nap(time.Now()))
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
	for _, t := range e.owned {
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
	e.h.Next(now, sooner)
	return max(0, next.Sub(now))
}

// report says what the tasks are doing, to readiness and metrics.
func (e *Engine[T]) report() {
	var why []string
	for _, t := range e.owned {
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
	why = append(why, e.h.Unwell()...)
	if e.leaving {
		why = []string{"leaving"}
	}
	e.measure(time.Now())
	e.say(why...)
}

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
		e.wait(ctx, e.nap(time.Now()))
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
	for _, p := range e.Alive() {
		if p.change != nil {
			return false
		}
	}
	return e.h.Quiet()
}

// close ends all that runs beside the engine, and waits for it.
func (e *Engine[T]) close() {
	e.leaving = true
	e.end(func() {
		e.cancel()
		for _, t := range e.owned {
			t.part().cancel()
		}
	})
	e.takesNoPart()
}
