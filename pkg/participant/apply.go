package participant

import (
	"math"
	"strconv"

	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/task"
)

// Fields of meta beside those of the engine.
const (
	fieldFolded     = "folded"     // for a door: facts of the own topic are folded up to here
	fieldGeneration = "generation" // of the orders: see internal/orders/keys.go
)

// Change implements task.Handler: it gathers what a task has to write.
func (c *cycle) Change(t *partition, ch *task.Change) {
	for _, d := range t.ready {
		d.ready = true
	}
	c.writeOrders(t, ch)
	for _, g := range t.leaving() {
		ch.Add("UNLINK", orders.Key(g))
	}
	for _, op := range t.ops {
		ch.Add(op.Cmd, op.Key, op.Args...)
	}
	set, cleared := t.timers.TakeChanged()
	if len(set) > 0 {
		ch.Add("ZADD", "timers", set...)
	}
	if len(cleared) > 0 {
		ch.Add("ZREM", "timers", cleared...)
	}
	bodies, stored := t.outbox.Unstored()
	if len(bodies) > 0 {
		ch.Add("RPUSH", "outbox", bodies...)
	}
	settled := t.settleable(c.b)
	if n := settled - t.outbox.Settled(); n > 0 {
		ch.Add("LTRIM", "outbox", strconv.FormatInt(n, 10), "-1")
	}
	c.positions(t, ch, settled)
	ready, orders := t.ready, t.touched
	t.ready, t.ops, t.touched, t.evolved = nil, nil, nil, false
	ch.Events = len(ready)
	ch.Then = func() {
		t.outbox.Stored(stored)
		t.outbox.Settle(settled)
		for _, d := range ready {
			d.src.markApplied(d)
		}
		for _, o := range orders {
			if o.lane.settling && t.outbox.IsStored(o.entry) {
				o.lane.settling = false
				c.pump(t, o)
			}
		}
		t.forget()
	}
}

// settleable is the highest number up to which every entry is in Kafka, and, where a door writes too, read back: what
// somebody else appended before it is known then.
func (t *partition) settleable(b *behavior) int64 {
	n := t.outbox.Settled()
	readBack := int64(math.MaxInt64)
	if b.door {
		readBack = t.source(b.facts).applied()
	}
	for _, e := range t.outbox.After(n) {
		if !e.Acked || e.Record.Topic == b.facts && e.Offset >= readBack {
			break
		}
		n = e.Number()
	}
	return n
}

// positions are what meta says beside the positions of the inputs: how far the own topics are folded, and which
// generation the orders are of.
func (c *cycle) positions(t *partition, ch *task.Change, settled int64) {
	ch.Set(fieldGeneration, t.generation)
	for _, l := range t.own {
		at := l.expected
		if c.b.door && l.Topic == c.b.facts && !t.Restoring() {
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
	case !c.b.door:
		return
	case t.Restoring():
		t.folded = t.log(c.b.facts).expected
	case len(t.loading) == 0:
		t.folded = max(t.folded, t.source(c.b.facts).folded())
	default:
		return
	}
	ch.Set(fieldFolded, t.folded)
}

// Position implements task.Handler.
func (c *cycle) Position(t *partition, input int) int64 { return t.sources[input].position() }

// Commitable implements task.Handler.
func (c *cycle) Commitable(t *partition, input int) int64 {
	if t.outbox.Inherited() {
		return -1
	}
	return t.sources[input].commitable(t.outbox.Settled())
}
