// Package timers keeps one moment for each of many names, and says which comes next. It knows which of them were
// changed since somebody stored them.
package timers

import (
	"container/heap"
	"slices"
	"strconv"
	"time"
)

// Timers is a heap of moments. An entry that was replaced stays in the heap for a while and is passed over.
type Timers struct {
	at      map[string]time.Time
	h       timerHeap
	changed map[string]bool // names whose moment the store is not yet told
}

type timer struct {
	at time.Time
	id string
}

// Restore sets the moment of a name, as it is stored.
func (ts *Timers) Restore(id string, at time.Time) {
	if ts.at == nil {
		ts.at = map[string]time.Time{}
	}
	if old, ok := ts.at[id]; ok && old.Equal(at) {
		return
	}
	ts.at[id] = at
	heap.Push(&ts.h, timer{at, id})
}

// Again puts back a moment that was popped.
func (ts *Timers) Again(id string, at time.Time) {
	delete(ts.at, id)
	ts.Restore(id, at)
}

// Set sets the moment of a name, to be stored.
func (ts *Timers) Set(id string, at time.Time) {
	ts.Restore(id, at)
	ts.change(id)
}

// Clear takes the moment of a name out, to be stored.
func (ts *Timers) Clear(id string) {
	if _, ok := ts.at[id]; !ok {
		return
	}
	delete(ts.at, id)
	ts.change(id)
	if len(ts.h) > 2*len(ts.at)+stale {
		ts.h = slices.DeleteFunc(ts.h, func(t timer) bool { at, ok := ts.at[t.id]; return !ok || !at.Equal(t.at) })
		heap.Init(&ts.h)
	}
}

// stale is how many passed-over entries a heap may hold in any case.
const stale = 1000

func (ts *Timers) change(id string) {
	if ts.changed == nil {
		ts.changed = map[string]bool{}
	}
	ts.changed[id] = true
}

// Has says whether a name has a moment.
func (ts *Timers) Has(id string) bool {
	_, ok := ts.at[id]
	return ok
}

// Changed says whether something is to be stored.
func (ts *Timers) Changed() bool { return len(ts.changed) > 0 }

// TakeChanged returns what is to be stored, as arguments of ZADD (Unix milliseconds and name) and of ZREM. The next
// call returns what changes from now on.
func (ts *Timers) TakeChanged() (set, cleared []string) {
	for id := range ts.changed {
		if at, ok := ts.at[id]; ok {
			set = append(set, strconv.FormatInt(at.UnixMilli(), 10), id)
		} else {
			cleared = append(cleared, id)
		}
	}
	clear(ts.changed)
	return set, cleared
}

// Next returns the earliest moment that was not popped; ok is false when there is none.
func (ts *Timers) Next() (at time.Time, ok bool) {
	for len(ts.h) > 0 {
		top := ts.h[0]
		if at, ok := ts.at[top.id]; ok && at.Equal(top.at) {
			return top.at, true
		}
		heap.Pop(&ts.h)
	}
	return time.Time{}, false
}

// Pop takes the name of the earliest moment when that has passed. The name keeps its moment until it is set or cleared.
func (ts *Timers) Pop(now time.Time) (id string, ok bool) {
	at, ok := ts.Next()
	if !ok || at.After(now) {
		return "", false
	}
	return heap.Pop(&ts.h).(timer).id, true
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *timerHeap) Push(x any) { *h = append(*h, x.(timer)) }

func (h *timerHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
