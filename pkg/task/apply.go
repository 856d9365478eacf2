package task

import (
	"context"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// apply writes what the tasks have to write: one script per task, all tasks in one pipeline; also with nothing to
// write, at least once a second.
func (e *Engine[T]) apply() {
	var tasks []T
	var changes []taskstore.Change
	now := time.Now()
	for _, t := range e.tasks {
		p := t.part()
		switch {
		case p.lost:
			continue
		case p.change != nil:
			p.change.Retry = true
		case e.due(t, now):
			p.change = e.build(t)
			// Without anything to write there can be something to follow: a duplicate behind an event that takes its time.
			if len(p.change.Ops)+p.change.Events == 0 && p.comparedLately(now) {
				p.change = nil
			}
		}
		if p.change != nil {
			tasks = append(tasks, t)
			changes = append(changes, p.change.Change)
		}
	}
	if len(tasks) == 0 {
		return
	}
	if !now.Before(e.soonAt) {
		e.soonAt = now.Add(SoonEvery)
	}
	ctx, cancel := context.WithTimeout(context.Background(), StoreTimeout)
	defer cancel()
	events := 0
	for i, out := range e.Store.Apply(ctx, changes) {
		t := tasks[i]
		if out.Err != nil {
			e.StoreDown(out.Err)
			continue
		}
		e.storeUp()
		if out.Verdict != taskstore.Applied {
			e.Lose(t, out.Verdict.String())
			continue
		}
		t.part().compared = now
		events += t.part().change.Events
		e.applied(t)
	}
	e.tellApplied(now, events)
}

// due says whether a task is to be written or compared now.
func (e *Engine[T]) due(t T, now time.Time) bool {
	if !t.part().comparedLately(now) {
		return true
	}
	switch e.h.Need(t) {
	case Now:
		return true
	case Soon:
		return e.leaving || !now.Before(e.soonAt)
	}
	return false
}

// build gathers what a task has to write. A change without ops only compares.
func (e *Engine[T]) build(t T) *Change {
	p := t.part()
	const some = 8 // commands and positions
	ch := &Change{
		Change: taskstore.Change{Partition: p.Number, Owner: p.owner, Seq: p.seq, Ops: make([]taskstore.Op, 0, some)},
		store:  e.Store, part: p, moved: make([]field, 0, some),
	}
	e.h.Change(t, ch)
	ch.Kept = e.counted(t)
	var fields []string
	if !p.restoring {
		for i, in := range p.Inputs {
			ch.Set(in.name, e.h.Position(t, i))
			ch.Set(in.sinceName, in.since)
		}
		fields, p.unwritten = p.unwritten, nil
	}
	for _, f := range ch.moved {
		fields = append(fields, f.name, strconv.FormatInt(f.at, 10))
	}
	if len(fields) > 0 {
		ch.Add("HSET", "meta", fields...)
	}
	p.Moved = false
	return ch
}

// applied follows a change that the store took.
func (e *Engine[T]) applied(t T) {
	p := t.part()
	ch := p.change
	p.change = nil
	if len(ch.Ops) > 0 {
		p.seq++
	}
	p.Moved = p.Moved || len(ch.Ops)+ch.Events > 0 // what was written may let positions go on
	for _, f := range ch.moved {
		p.Stored[f.name] = f.at
	}
	if ch.Then != nil {
		ch.Then()
	}
}

// Begin gathers what tasks that are being restored have to write, for Send; those with nothing are left out.
func (e *Engine[T]) Begin(tasks []T) (sending []T) {
	for _, t := range tasks {
		if ch := e.build(t); len(ch.Ops) > 0 {
			t.part().change = ch
			sending = append(sending, t)
		}
	}
	return sending
}

// Send gives the store what Begin gathered, until it has all of it. Unlike the rest of the engine it may run beside who
// goes on restoring.
func (e *Engine[T]) Send(ctx context.Context, tasks []T) error {
	for tries := 1; len(tasks) > 0; tries++ {
		var changes []taskstore.Change
		for _, t := range tasks {
			changes = append(changes, t.part().change.Change)
		}
		var again []T
		for i, out := range e.Store.Apply(ctx, changes) {
			p := tasks[i].part()
			switch {
			case out.Err != nil:
				p.change.Retry = true
				again = append(again, tasks[i])
			case out.Verdict != taskstore.Applied:
				return fault.New(fault.Unavailable, "redis %s partition %d while it was folded", out.Verdict, p.Number)
			}
		}
		if tasks = again; len(tasks) > 0 {
			if err := wait.Sleep(ctx, wait.Backoff(tries)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sent follows what Send has given to the store.
func (e *Engine[T]) Sent(tasks []T) {
	for _, t := range tasks {
		e.applied(t)
	}
}

// Lose gives a task up: nothing of its memory counts any more, what runs for it is cancelled, and it is claimed anew
// when nothing of it is under way and the group says that the generation still holds.
func (e *Engine[T]) Lose(t T, why string) {
	if p := t.part(); !p.lost {
		p.giveUp()
		e.tellLost(p, why)
	}
}

// LoseStored gives a task up together with what is stored of it.
func (e *Engine[T]) LoseStored(t T, why string) {
	e.refold[t.part().Number] = true
	e.Lose(t, why)
}

// StoreDown and storeUp say in one line each that Redis went and came back.
func (e *Engine[T]) StoreDown(err error) {
	why := fault.FirstLine(err.Error())
	if e.noStore.Swap(&why) == nil {
		e.Logger.Warn("waiting for redis", "error", why)
	}
}

func (e *Engine[T]) storeUp() {
	if e.noStore.Swap(nil) != nil {
		e.Logger.Info("redis is back")
	}
}
