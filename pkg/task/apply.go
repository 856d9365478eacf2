package task

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// writer writes what the tasks change: one compare-and-swap per task.
type writer[T Task] struct {
	*tasks[T]
	soonAt time.Time // when what nobody waits for may be written again
}

// apply writes what the tasks have to write: one script per task, all tasks in one pipeline; also with nothing to
// write, at least once a second.
func (w *writer[T]) apply() {
	var sent []T
	var changes []taskstore.Change
	now := time.Now()
	for t, p := range w.Alive() {
		switch {
		case p.change != nil:
			p.change.Retry = true
		case w.due(t, now):
			p.change = w.build(t)
			// Without anything to write there can be something to follow: a duplicate behind an event that takes its time.
			if len(p.change.Ops)+p.change.Events == 0 && p.comparedLately(now) {
				p.change = nil
			}
		}
		if p.change != nil {
			sent = append(sent, t)
			changes = append(changes, p.change.Change)
		}
	}
	if len(sent) == 0 {
		return
	}
	if !now.Before(w.soonAt) {
		w.soonAt = now.Add(SoonEvery)
	}
	ctx, cancel := context.WithTimeout(context.Background(), StoreTimeout)
	defer cancel()
	events := 0
	for i, out := range w.Store.Apply(ctx, changes) {
		p := sent[i].part()
		if out.Err != nil {
			w.StoreDown(out.Err)
			continue
		}
		w.storeUp()
		if out.Verdict != taskstore.Applied {
			w.Lose(sent[i], out.Verdict.String())
			continue
		}
		p.compared = now
		events += p.change.Events
		p.change.taken()
	}
	w.tellApplied(now, events)
}

// due says whether a task is to be written or compared now.
func (w *writer[T]) due(t T, now time.Time) bool {
	if !t.part().comparedLately(now) {
		return true
	}
	switch w.h.Need(t) {
	case Now:
		return true
	case Soon:
		return w.leaving || !now.Before(w.soonAt)
	}
	return false
}

// build gathers what a task has to write. A change without ops only compares.
func (w *writer[T]) build(t T) *Change {
	p := t.part()
	ch := newChange(w.Store, p)
	w.h.Change(t, ch)
	ch.Kept = p.counted(w.Store, w.h.Counted(t))
	var others []string
	if !p.restoring {
		for i, in := range p.Inputs {
			ch.Set(in.name, w.h.Position(t, i))
			ch.Set(in.sinceName, in.since)
		}
		others, p.unwritten = p.unwritten, nil
	}
	ch.writeMeta(others)
	p.Moved = false
	return ch
}

// Begin gathers what tasks that are being restored have to write, for Send; those with nothing are left out.
func (w *writer[T]) Begin(restoring []T) (sending []T) {
	for _, t := range restoring {
		if ch := w.build(t); len(ch.Ops) > 0 {
			t.part().change = ch
			sending = append(sending, t)
		}
	}
	return sending
}

// Send gives the store what Begin gathered, until it has all of it. Unlike the rest of the engine it may run beside who
// goes on restoring.
func (w *writer[T]) Send(ctx context.Context, sending []T) error {
	for tries := 1; len(sending) > 0; tries++ {
		var changes []taskstore.Change
		for _, t := range sending {
			changes = append(changes, t.part().change.Change)
		}
		var again []T
		for i, out := range w.Store.Apply(ctx, changes) {
			p := sending[i].part()
			switch {
			case out.Err != nil:
				p.change.Retry = true
				again = append(again, sending[i])
			case out.Verdict != taskstore.Applied:
				return fault.New(fault.Unavailable, "redis %s partition %d while it was folded", out.Verdict, p.Number)
			}
		}
		if sending = again; len(sending) > 0 {
			if err := wait.Sleep(ctx, wait.Backoff(tries)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sent follows what Send has given to the store.
func (w *writer[T]) Sent(sent []T) {
	for _, t := range sent {
		t.part().change.taken()
	}
}
