package participant

import (
	"math"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/task"
)

// Fields of meta beside those of the engine.
const (
	fieldFolded     = "folded"     // for admission: facts of the own topic are folded up to here
	fieldGeneration = "generation" // of the orders: see internal/orders/keys.go
	fieldBegan      = "generation_began"
)

// change gathers what a task has to write, and what follows in memory.
func change(t *partition, ch *task.Change) {
	for _, d := range t.ready {
		d.ready = true
	}
	writeOrders(t, ch)
	for _, g := range leaving(t) {
		ch.Add("UNLINK", orders.Key(g))
	}
	for _, op := range t.ops {
		ch.Add(op.Cmd, op.Key, op.Args...)
	}
	set, cleared := t.timers.TakeChanged()
	add(ch, "ZADD", "timers", set)
	add(ch, "ZREM", "timers", cleared)
	entries, stored := t.outbox.Unstored()
	add(ch, "RPUSH", "outbox", entries)
	settled := settleable(t)
	if n := settled - t.outbox.Settled(); n > 0 {
		ch.Add("LTRIM", "outbox", strconv.FormatInt(n, 10), "-1")
	}
	positions(t, ch, settled)
	ready, touched := t.ready, t.touched
	t.ready, t.ops, t.touched, t.evolved = nil, nil, nil, false
	ch.Events = len(ready)
	ch.Then = func() {
		t.outbox.Stored(stored)
		t.outbox.Settle(settled)
		for _, d := range ready {
			t.source(d.topic()).markApplied(d)
		}
		for _, o := range touched {
			if o.queue.storing && t.outbox.IsStored(o.entry) {
				o.queue.storing = false
				t.resume(o)
			}
		}
		t.runQueues()
		t.forget()
	}
}

// add is ch.Add, unless there is nothing to say.
func add(ch *task.Change, cmd, key string, args []string) {
	if len(args) > 0 {
		ch.Add(cmd, key, args...)
	}
}

// writeOrders adds the commands that write the orders that changed.
func writeOrders(t *partition, ch *task.Change) {
	nextGeneration(t)
	var set, setParked, unparked []string
	stored := func(o *order) string {
		t.c.packed = o.Append(t.c.packed[:0])
		weigh(t, o, len(t.c.packed))
		return string(t.c.packed)
	}
	for _, o := range t.touched {
		o.touched = false
		switch {
		case !o.Changed:
			continue
		case len(o.Parked) > 0:
			setParked = append(setParked, o.ID, stored(o))
		default:
			set = append(set, o.ID, stored(o))
			if o.inParked {
				unparked = append(unparked, o.ID)
			}
		}
		o.Changed, o.inParked = false, len(o.Parked) > 0
	}
	add(ch, "HSET", orders.KeyParked, setParked)
	add(ch, "HDEL", orders.KeyParked, unparked)
	add(ch, "HSET", orders.Key(t.generation.Number), set)
}

// nextGeneration has the generation of orders go on when it is time, by a clock that is trusted only: one that is
// months ahead would drop orders that are under way.
func nextGeneration(t *partition) {
	if t.generation.Number == 0 { // at the claim
		t.generation = orders.Generation{Number: t.Stored[fieldGeneration], Began: t.Stored[fieldBegan]}
	}
	if t.generation.Number == 0 || t.c.cfg.Clock.Err() == nil {
		next := t.generation.Next(time.Now(), t.c.cfg.Retention)
		t.before = t.before || next.Number > t.generation.Number
		t.generation = next
	}
}

// leaving are the generations of orders that nobody will look for once the next change is stored.
func leaving(t *partition) (gone []int64) {
	stored, ok := t.Stored[fieldGeneration]
	for g := stored - 1; ok && g < t.generation.Number-1; g++ {
		gone = append(gone, g)
	}
	return gone
}

// settleable is the highest number up to which every entry is in Kafka, and, where admission publishes too, read back:
// what somebody else appended before it is known then.
func settleable(t *partition) int64 {
	n := t.outbox.Settled()
	readBack := int64(math.MaxInt64)
	if t.c.b.admits {
		readBack = t.source(t.c.b.facts).applied()
	}
	for _, e := range t.outbox.After(n) {
		if !e.Acked || e.Record.Topic == t.c.b.facts && e.Offset >= readBack {
			break
		}
		n = e.Number()
	}
	return n
}

// positions are what meta says beside the positions of the inputs: how far the own topics are folded, and which
// generation the orders are of.
func positions(t *partition, ch *task.Change, settled int64) {
	b := t.c.b
	ch.Set(fieldGeneration, t.generation.Number)
	ch.Set(fieldBegan, t.generation.Began)
	for _, l := range t.own {
		at := l.expected
		if b.admits && l.Topic == b.facts && !t.Restoring() {
			at = t.source(l.Topic).position()
		}
		for _, e := range t.outbox.After(settled) {
			if e.Acked && e.Record.Topic == l.Topic {
				at = min(at, e.Offset)
			}
		}
		ch.Set(l.field, at)
	}
	switch {
	case !b.admits:
		return
	case t.Restoring():
		t.folded = t.log(b.facts).expected
	case len(t.loading) == 0:
		t.folded = max(t.folded, t.source(b.facts).folded())
	default:
		return
	}
	ch.Set(fieldFolded, t.folded)
}
