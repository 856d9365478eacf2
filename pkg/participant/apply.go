package participant

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/participant/store"
)

const (
	// compareEvery is how often an idle task asks the store whether it is still the same one.
	compareEvery = time.Second
	// storeTimeout bounds one round trip to the store.
	storeTimeout = 3 * time.Second
	// opArgs bounds the arguments of one command in a script: Lua unpacks them on its stack.
	opArgs = 1000
)

// change is what one apply of one task writes, and what follows in memory when it is done.
type change struct {
	store.Change
	ready     []*delivery
	orders    []*order
	kept      int64
	settled   int64
	positions map[string]string
}

// apply writes everything that is ready: one script per task, all tasks in one pipeline; also with nothing to write, at
// least once a second.
func (c *cycle) apply() {
	var tasks []*task
	var changes []store.Change
	now := time.Now()
	for _, t := range c.tasks {
		if t.dead {
			continue
		}
		if t.resend == nil {
			// Without anything to write there can be something to follow: a duplicate behind an event that takes its time.
			if ch := c.change(t); len(ch.Ops)+len(ch.ready) > 0 || now.Sub(t.compared) >= compareEvery {
				t.resend = ch
			}
		} else {
			t.resend.Retry = true
		}
		if t.resend != nil {
			tasks = append(tasks, t)
			changes = append(changes, t.resend.Change)
		}
	}
	if len(tasks) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	began, events := time.Now(), 0
	for i, out := range c.st.Apply(ctx, changes) {
		t := tasks[i]
		if out.Err != nil {
			c.storeDown(out.Err)
			continue
		}
		c.storeUp()
		if out.Verdict != store.Applied {
			c.lose(t, out.Verdict.String())
			continue
		}
		t.compared = now
		events += len(t.resend.ready)
		c.applied(t)
	}
	c.watch.applied(began, events)
}

// change gathers what a task has to write. A change without ops only compares.
func (c *cycle) change(t *task) *change {
	ch := &change{Change: store.Change{Partition: t.partition, Owner: t.owner, Seq: t.seq}, ready: t.ready, kept: t.kept}
	ready := make(map[*delivery]bool, len(t.ready))
	for _, d := range t.ready {
		ready[d] = true
	}
	add := func(cmd, rest string, args ...string) {
		ch.Ops = append(ch.Ops, store.Op{Cmd: cmd, Key: c.st.Key(t.partition, rest), Args: args})
	}
	for o := range t.dirty {
		ch.orders = append(ch.orders, o)
		if args := o.takeChanged(); len(args) > 0 {
			for len(args) > 0 {
				n := min(len(args), opArgs)
				add("HSET", orderKey(o.id), args[:n]...)
				args = args[n:]
			}
			if len(o.parked) > 0 {
				add("PERSIST", orderKey(o.id)) // letters are kept for ever
			} else {
				add("PEXPIRE", orderKey(o.id), c.ttl)
			}
		}
	}
	for _, op := range t.ops {
		add(op.Cmd, op.Key, op.Args...)
	}
	var bodies []string
	for _, e := range t.outbox {
		if e.number > t.kept {
			bodies = append(bodies, e.body)
			ch.kept = e.number
		}
	}
	for len(bodies) > 0 {
		n := min(len(bodies), opArgs)
		add("RPUSH", "outbox", bodies[:n]...)
		bodies = bodies[n:]
	}
	ch.settled = t.settleable(c.b)
	if n := ch.settled - t.settled; n > 0 {
		add("LTRIM", "outbox", strconv.FormatInt(n, 10), "-1")
	}
	ch.positions = t.positions(c.b, ready, ch.settled)
	var moved []string
	for k, v := range ch.positions {
		if t.stored[k] != v {
			moved = append(moved, k, v)
		}
	}
	if len(moved) > 0 {
		add("HSET", "meta", moved...)
	}
	t.ready, t.ops = nil, nil
	clear(t.dirty)
	return ch
}

func orderKey(id string) string { return "order:" + id }

// applied follows a change that the store took.
func (c *cycle) applied(t *task) {
	ch := t.resend
	t.resend = nil
	if len(ch.Ops) > 0 {
		t.seq++
	}
	t.kept = ch.kept
	t.settle(ch.settled)
	for k, v := range ch.positions {
		t.stored[k] = v
	}
	for _, d := range ch.ready {
		d.src.markApplied(d)
	}
	for _, o := range ch.orders {
		if o.lane.settling && o.entry <= t.kept {
			o.lane.settling = false
			c.pump(t, o)
		}
	}
	t.forget()
}

// settleable is the highest number up to which every entry is in Kafka, and, where a door writes too, read back: what
// somebody else appended before it is known then.
func (t *task) settleable(b *behavior) int64 {
	n := t.settled
	readBack := int64(math.MaxInt64)
	if b.door {
		readBack = t.source(b.facts).position(nil)
	}
	for _, e := range t.outbox {
		if !e.acked || e.Record.Topic == b.facts && e.offset >= readBack {
			break
		}
		n = e.number
	}
	return n
}

// positions are the fields of meta that say how far this task has come.
func (t *task) positions(b *behavior, ready map[*delivery]bool, settled int64) map[string]string {
	p := map[string]string{}
	set := func(field string, v int64) { p[field] = strconv.FormatInt(v, 10) }
	for topic, l := range t.own {
		at := l.expected
		if b.door && topic == b.facts && !t.folding {
			at = t.source(topic).position(ready)
		}
		for _, e := range t.outbox {
			if e.acked && e.number > settled && e.Record.Topic == topic {
				at = min(at, e.offset)
			}
		}
		set("own:"+topic, at)
	}
	if t.folding {
		if b.door {
			t.folded = t.own[b.facts].expected
			set("folded", t.folded)
		}
		return p
	}
	for _, s := range t.sources {
		set("in:"+s.Topic, s.position(ready))
		if b.door && s.Topic == b.facts && len(t.loading) == 0 {
			t.folded = max(t.folded, s.folded(ready))
			set("folded", t.folded)
		}
	}
	return p
}

// lose gives a task up: its memory is dropped, React calls are cancelled, and it is taken over anew when its produce in flight
// has ended and the group says that the generation still holds.
func (c *cycle) lose(t *task, why string) {
	if t.dead {
		return
	}
	t.dead = true
	t.cancel()
	c.watch.lost(t, why)
}

// storeDown and storeUp say in one line each that Redis went and came back.
func (c *cycle) storeDown(err error) {
	if !c.noStore.Swap(true) {
		c.watch.log.Warn("waiting for redis", "error", firstLine(err.Error()))
	}
}

func (c *cycle) storeUp() {
	if c.noStore.Swap(false) {
		c.watch.log.Info("redis is back")
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
