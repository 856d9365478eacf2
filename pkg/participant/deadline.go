package participant

import (
	"container/heap"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/task"
)

// fireDeadlines delivers the deadlines that have passed, as local events, once the inputs are read up to the ends they had
// after the deadlines passed: after an outage, a waiting answer comes first. That of an order with letters waits until they are gone.
func (c *cycle) fireDeadlines(ctx context.Context, now time.Time) {
	var ask []broker.TopicPartition
	var asking []*partition
	for _, t := range c.Tasks() {
		if !t.Lost() && len(t.due) > 0 && len(t.dueSoon) == 0 {
			asking = append(asking, t)
			for _, s := range t.sources {
				ask = append(ask, s.TopicPartition)
			}
		}
	}
	if len(asking) > 0 {
		ctx, cancel := context.WithTimeout(ctx, task.StoreTimeout)
		defer cancel()
		ends, err := c.cfg.Log.Ends(ctx, ask)
		if err != nil {
			return
		}
		for _, t := range asking {
			t.dueSoon, t.due, t.dueEnds = t.due, nil, ends
		}
		c.SeldomNow() // they are inputs too
	}
	for _, t := range c.Tasks() {
		if t.Lost() || len(t.dueSoon) == 0 || !t.readUpTo(t.dueEnds) {
			continue
		}
		if err := c.loadOrders(ctx, []wanted{{t, t.dueSoon}}); err != nil {
			c.notLoaded(err, t)
			continue
		}
		due := t.dueSoon
		t.dueSoon = nil
		for _, id := range due {
			c.deadline(t, t.orders[id], now)
		}
	}
}

// deadline delivers an order's deadline, if it still has one that has passed.
func (c *cycle) deadline(t *partition, o *order, now time.Time) {
	at, ok := o.wakeAt(c.b)
	if !ok || at.After(now) || len(o.parked) > 0 {
		c.wakeUp(t, o, now)
		return
	}
	o.lane.queue = append(o.lane.queue, localEvent(c.b, t.Number, o, at))
	c.pump(t, o)
}

// wakeUp gives an order what its timer was set for: a try of its letters at once; its deadline when the clock is right and the inputs
// are read.
func (c *cycle) wakeUp(t *partition, o *order, now time.Time) {
	at, ok := o.wakeAt(c.b)
	switch {
	case !ok:
		t.arm(c.b, o)
	case at.After(now): // it was moved, or the clock was put back, since it was taken for passed
		t.timers.again(o.id, at)
	case len(o.parked) > 0:
		c.retry(t, o)
	default:
		t.due = append(t.due, o.id)
	}
}

// readUpTo says whether every input is read, and in its lane, up to an end.
func (t *partition) readUpTo(ends map[broker.TopicPartition]int64) bool {
	if len(t.loading) > 0 {
		return false
	}
	for _, s := range t.sources {
		if s.Cursor < ends[s.TopicPartition] {
			return false
		}
	}
	return true
}

// localEvent makes the delivery of a deadline.
func localEvent(b *behavior, partition int, o *order, at time.Time) *delivery {
	e := event.Event{ID: deadlineID(o.id, at), Type: DeadlinePassed, Source: b.name, Subject: o.id, Time: at.UTC(), TraceParent: o.trace}
	rec := event.ToRecord(e, deadlineIn, partition)
	return &delivery{ev: e, order: o.id, rec: &rec, judged: true}
}

// timers is a heap of deadlines and times of retry, one per order; an entry that was replaced stays in the heap for a while and is passed over.
type timers struct {
	at      map[string]time.Time
	h       timerHeap
	changed map[string]bool // orders whose deadline the store is not yet told
}

type timer struct {
	at time.Time
	id string
}

func (ts *timers) set(id string, at time.Time) {
	if ts.at == nil {
		ts.at = map[string]time.Time{}
	}
	if old, ok := ts.at[id]; ok && old.Equal(at) {
		return
	}
	ts.at[id] = at
	heap.Push(&ts.h, timer{at, id})
}

// again puts back a deadline that was popped.
func (ts *timers) again(id string, at time.Time) {
	delete(ts.at, id)
	ts.set(id, at)
}

// keep sets a deadline, in the store as well with the next apply.
func (ts *timers) keep(id string, at time.Time) {
	ts.set(id, at)
	ts.tell(id)
}

// clear takes the deadline of an order out, in the store as well with the next apply.
func (ts *timers) clear(id string) {
	if _, ok := ts.at[id]; !ok {
		return
	}
	delete(ts.at, id)
	ts.tell(id)
	if len(ts.h) > 2*len(ts.at)+timersStale {
		ts.h = slices.DeleteFunc(ts.h, func(t timer) bool { at, ok := ts.at[t.id]; return !ok || !at.Equal(t.at) })
		heap.Init(&ts.h)
	}
}

// timersStale is how many passed-over entries a heap may hold in any case.
const timersStale = 1000

func (ts *timers) tell(id string) {
	if ts.changed == nil {
		ts.changed = map[string]bool{}
	}
	ts.changed[id] = true
}

// takeChanged returns the deadlines changed since the last call, as ZADD and as ZREM arguments.
func (ts *timers) takeChanged() (set, cleared []string) {
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

// next returns the earliest deadline; ok is false when there is none.
func (ts *timers) next() (timer, bool) {
	for len(ts.h) > 0 {
		top := ts.h[0]
		if at, ok := ts.at[top.id]; ok && at.Equal(top.at) {
			return top, true
		}
		heap.Pop(&ts.h)
	}
	return timer{}, false
}

// pop takes the earliest deadline when it has passed. Its order stays armed until the deadline is answered.
func (ts *timers) pop(now time.Time) (string, bool) {
	top, ok := ts.next()
	if !ok || top.at.After(now) {
		return "", false
	}
	heap.Pop(&ts.h)
	return top.id, true
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
