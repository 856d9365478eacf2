package projection

import (
	"context"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// cycle is what a projection does with the partitions of one generation: it folds what the engine read into documents,
// some hundred records a step. The engine's goroutine owns all of it.
type cycle[D any] struct {
	task.Defaults[*partition[D]]
	*folder[D]
	stalled bool         // the store did not answer when documents were read
	swapped map[int]bool // partitions whose shadow became what is live: they had reached their goal
}

var _ task.Handler[*partition[any]] = (*cycle[any])(nil)

func newCycle[D any](m *model[D], of *copies, e *engine[D]) *cycle[D] {
	f := &folder[D]{model: m, engine: e, of: of, watch: &watch{of}}
	return &cycle[D]{folder: f, swapped: map[int]bool{}}
}

// New implements task.Handler.
func (c *cycle[D]) New(p *task.Partition) *partition[D] {
	return &partition[D]{Partition: p, inputs: make([]input, len(p.Inputs))}
}

// Locate implements task.Handler: it reads which copies are live.
func (c *cycle[D]) Locate(ctx context.Context, tasks []*partition[D]) error {
	_, err := c.of.follow(ctx, numbers(tasks))
	return err
}

func numbers[D any](tasks []*partition[D]) (partitions []int) {
	for _, t := range tasks {
		partitions = append(partitions, t.Number)
	}
	return partitions
}

// Usable implements task.Handler: what a version that can be continued has folded goes on being read and folded on,
// while a shadow is built.
func (c *cycle[D]) Usable(t *partition[D], version string) bool {
	b := c.b
	if c.of.shadow {
		b.Continues = 0 // what another version began is of no use
	}
	use := b.use(version)
	if use == useForNow {
		t.mixed = strings.TrimSuffix(version, mixed) + mixed
	}
	return use != useNothing
}

// Counted implements task.Handler.
func (c *cycle[D]) Counted(*partition[D]) []string { return c.b.Kept }

// Restore implements task.Handler: what is stored is all there is to know. As the goal it takes the ends that the logs
// have now: a reader that does not find an order knows by the goal whether it may say so.
func (c *cycle[D]) Restore(ctx context.Context, tasks []*partition[D]) error {
	// What is claimed is not swapped by anybody else; it may have been in between.
	if moved, err := c.of.follow(ctx, numbers(tasks)); err != nil || moved {
		if err == nil {
			err = fault.New(fault.Unavailable, "another copy became live meanwhile")
		}
		return err
	}
	for _, t := range tasks {
		if t.Emptied {
			t.mixed = ""
			delete(c.swapped, t.Number)
		}
		t.doubted = t.Stored[fieldDoubted] > 0
		for i, in := range t.Inputs {
			t.inputs[i].applied, t.inputs[i].after = in.Cursor, in.Cursor
			if !c.swapped[t.Number] { // otherwise nobody was away
				t.goals = append(t.goals, in.End)
			}
		}
		t.begun = true
		delete(c.swapped, t.Number)
		c.watch.claimed(t.Number, t.Emptied)
	}
	return nil
}

// Room implements task.Handler.
func (c *cycle[D]) Room() func(t *partition[D], input int) bool {
	return func(t *partition[D], input int) bool {
		in := &t.inputs[input]
		return in.pending < maxPending && in.bytes < maxBytes
	}
}

// Receive implements task.Handler.
func (c *cycle[D]) Receive(t *partition[D], input int, f broker.Fetched) { t.add(input, f) }

// Skip implements task.Handler: what retention has taken is passed over and counted.
func (c *cycle[D]) Skip(t *partition[D], input int, to int64) {
	in := t.Inputs[input]
	c.watch.skipped(in.TopicPartition, in.Cursor, to)
	t.skip(input, to)
}

// Work implements task.Handler: it folds what is queued, per task as one step.
func (c *cycle[D]) Work(ctx context.Context) {
	if c.Leaving() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, task.StoreTimeout)
	defer cancel()
	err := c.build(ctx)
	c.stalled = err != nil
	if err != nil && ctx.Err() == nil {
		c.StoreDown(err)
	}
}

// build folds what is queued, per task as one change. The documents of all tasks are read in one pipeline. A step that
// fails half-way is forgotten with all orders in memory, and begun again from what is stored.
func (c *cycle[D]) build(ctx context.Context) error {
	var all []*work[D]
	for t := range c.Alive() {
		if !t.Writing() && t.step == nil {
			if w := c.work(t); w != nil {
				all = append(all, w)
			}
		}
	}
	if err := c.load(ctx, all); err != nil {
		return err
	}
	for _, w := range all {
		if err := c.take(ctx, w); err != nil {
			w.task.step, w.task.recent = nil, nil // some of it is folded
			return err
		}
	}
	return c.sweep(ctx)
}

// work chooses what a task folds next; nil: there is nothing.
func (c *cycle[D]) work(t *partition[D]) *work[D] {
	if !t.ready(time.Now()) {
		return nil
	}
	return &work[D]{task: t, items: t.pending[:min(len(t.pending), stepItems)], recent: c.recent(t)}
}

// Need implements task.Handler: a reader waits for whatever is folded.
func (c *cycle[D]) Need(t *partition[D]) task.Need {
	switch {
	case t.step != nil || t.begun:
		return task.Now
	case t.Moved:
		return task.Soon
	}
	return task.Nothing
}

// Change implements task.Handler.
func (c *cycle[D]) Change(t *partition[D], ch *task.Change) {
	if t.begun {
		t.begun = false
		if t.mixed != "" { // another version folded it: that is marked, whoever comes next
			ch.Add("HSET", keyMeta, fieldVersion, t.mixed)
		}
		if _, changed := t.Stored[fieldGoal+c.topics[0]]; !changed && !c.of.shadow {
			// The store was wiped, perhaps: a shadow that was claimed again before its owner saw that stands in no entry.
			ch.Ops = append(ch.Ops, Op{
				Cmd: "HSET", Key: c.base.Key(t.Number, rebuild.Key), Args: []string{rebuild.FieldClear, rebuild.Token()},
			})
		}
		for i, end := range t.goals {
			ch.Set(fieldGoal+t.Inputs[i].Topic, end)
		}
	}
	if t.doubted {
		ch.Set(fieldDoubted, 1)
	}
	s := t.step
	if s == nil {
		return
	}
	t.step = nil
	ch.Ops, ch.Events = append(ch.Ops, s.ops...), len(s.delays)
	for i := range s.positions {
		t.inputs[i].after = s.positions[i]
	}
	ch.Then = func() {
		t.taken(s)
		c.watch.applied(s)
		if s.stored != nil {
			s.stored()
		}
	}
}

// Position implements task.Handler.
func (c *cycle[D]) Position(t *partition[D], input int) int64 { return t.inputs[input].after }

// Commitable implements task.Handler. Nothing rests on it: the positions are in the store.
func (c *cycle[D]) Commitable(t *partition[D], input int) int64 {
	if c.of.shadow {
		return -1
	}
	return t.inputs[input].applied
}

// Next implements task.Handler.
func (c *cycle[D]) Next(now time.Time, sooner func(at time.Time)) {
	for t := range c.Alive() {
		if t.Writing() || len(t.pending) == 0 {
			continue
		}
		at := now
		if c.stalled {
			at = now.Add(wait.BackoffMin)
		}
		if until := t.held.Add(holdFor); until.After(at) {
			at = until
		}
		sooner(at)
	}
}

// Unwell implements task.Handler.
func (c *cycle[D]) Unwell() []string {
	if err := c.FetchErr(); err != nil {
		return []string{"kafka: " + err.Error()}
	}
	return nil
}

// Lag implements task.Handler: what is folded is stored with its position, so what waits longest holds it back.
func (c *cycle[D]) Lag(t *partition[D], input int) (records int, oldest, watermark time.Time) {
	for _, it := range t.pending {
		if it.input == input && it.rec != nil {
			oldest = it.rec.Time
			break
		}
	}
	return t.inputs[input].pending, oldest, oldest
}
