package participant

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/taskstore"
)

const (
	// compareEvery is how often an idle task asks the store whether it is still the same one.
	compareEvery = time.Second
	// storeTimeout bounds one round trip to the store.
	storeTimeout = 3 * time.Second
	// idleWrites is the least time between two round trips with nothing in them that anybody waits for: see task.urgent.
	idleWrites = 50 * time.Millisecond
	// opArgs bounds the arguments of one command in a script: Lua unpacks them on its stack. It is even, for pairs.
	opArgs = 1000
)

// change is what one apply of one task writes, and what follows in memory when it is done.
type change struct {
	taskstore.Change
	ready     []*delivery
	orders    []*order
	kept      int64
	settled   int64
	positions []position // that moved
}

// position is a field of meta that says how far a task has come in one topic.
type position struct {
	field string
	at    int64
}

// Fields of meta that are positions.
const (
	prefixIn    = "in:"    // of a topic heard: the next offset to read
	prefixOwn   = "own:"   // of a topic written: the next offset to fold
	prefixSince = "since:" // of a topic heard: where reading began when the store was empty
	fieldFolded = "folded"

	fieldGeneration = "generation" // of the orders: see kept.go
)

// apply writes what is ready: one script per task, all tasks in one pipeline; also with nothing to write, at least once a second.
func (c *cycle) apply() {
	var tasks []*task
	var changes []taskstore.Change
	now := time.Now()
	for _, t := range c.tasks {
		if !c.writes(t, now) {
			continue
		}
		if t.resend == nil {
			// Without anything to write there can be something to follow: a duplicate behind an event that takes its time.
			if ch := c.change(t); len(ch.Ops)+len(ch.ready) > 0 || !t.lately(now) {
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
	if !now.Before(c.idleAt) {
		c.idleAt = now.Add(idleWrites)
	}
	for i, out := range c.st.Apply(ctx, changes) {
		t := tasks[i]
		if out.Err != nil {
			c.storeDown(out.Err)
			continue
		}
		c.storeUp()
		if out.Verdict != taskstore.Applied {
			c.lose(t, out.Verdict.String())
			continue
		}
		t.compared = now
		events += len(t.resend.ready)
		c.applied(t)
	}
	c.watch.applied(began, events)
}

// writes says whether a task is to be written or compared now.
func (c *cycle) writes(t *task, now time.Time) bool {
	idle := c.leaving || !now.Before(c.idleAt)
	return !t.dead && (t.resend != nil || !t.lately(now) || t.urgent() || idle && t.stirred())
}

// change gathers what a task has to write. A change without ops only compares.
func (c *cycle) change(t *task) *change {
	ch := &change{Change: taskstore.Change{Partition: t.partition, Owner: t.owner, Seq: t.seq}, ready: t.ready, kept: t.kept}
	for _, d := range t.ready {
		d.ready = true
	}
	ch.orders = t.touched
	add := func(cmd, key string, args ...string) {
		for first := true; first || len(args) > 0; first = false {
			n := min(len(args), opArgs)
			ch.Ops = append(ch.Ops, taskstore.Op{Cmd: cmd, Key: c.st.Key(t.partition, key), Args: args[:n]})
			args = args[n:]
		}
	}
	c.writeOrders(t, add)
	ch.Kept = c.witness(t)
	for _, g := range t.leaving() {
		add("UNLINK", ordersKey(g))
	}
	for _, op := range t.ops {
		add(op.Cmd, op.Key, op.Args...)
	}
	set, cleared := t.timers.takeChanged()
	if len(set) > 0 {
		add("ZADD", "timers", set...)
	}
	if len(cleared) > 0 {
		add("ZREM", "timers", cleared...)
	}
	var bodies []string
	for _, e := range t.since(t.kept) {
		bodies = append(bodies, e.body)
		ch.kept = e.number
	}
	if len(bodies) > 0 {
		add("RPUSH", "outbox", bodies...)
	}
	ch.settled = t.settleable(c.b)
	if n := ch.settled - t.settled; n > 0 {
		add("LTRIM", "outbox", strconv.FormatInt(n, 10), "-1")
	}
	ch.positions = t.moved(c.b, ch.settled)
	var fields []string
	for _, p := range ch.positions {
		fields = append(fields, p.field, strconv.FormatInt(p.at, 10))
	}
	if !t.folding {
		fields, t.identities = append(fields, t.identities...), nil
	}
	if len(fields) > 0 {
		add("HSET", "meta", fields...)
	}
	t.ready, t.ops, t.touched, t.moving, t.evolved = nil, nil, nil, false, false
	return ch
}

// applied follows a change that the store took.
func (c *cycle) applied(t *task) {
	ch := t.resend
	t.resend = nil
	if len(ch.Ops) > 0 {
		t.seq++
	}
	t.kept = ch.kept
	t.moving = len(ch.Ops)+len(ch.ready) > 0 // what a door's facts rest on is read back now
	t.settle(ch.settled)
	for _, p := range ch.positions {
		t.stored[p.field] = p.at
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
		readBack = t.source(b.facts).applied()
	}
	for _, e := range t.outbox {
		if !e.acked || e.Record.Topic == b.facts && e.offset >= readBack {
			break
		}
		n = e.number
	}
	return n
}

// moved are the positions of this task that are not what is stored.
func (t *task) moved(b *behavior, settled int64) (moved []position) {
	set := func(field string, at int64) {
		if stored, ok := t.stored[field]; !ok || stored != at {
			moved = append(moved, position{field, at})
		}
	}
	set(fieldGeneration, t.generation)
	for _, l := range t.own {
		at := l.expected
		if b.door && l.Topic == b.facts && !t.folding {
			at = t.source(l.Topic).position()
		}
		for _, e := range t.since(settled) {
			if e.acked && e.Record.Topic == l.Topic {
				at = min(at, e.offset)
			}
		}
		set(l.field, at)
	}
	if t.folding {
		if b.door {
			t.folded = t.log(b.facts).expected
			set(fieldFolded, t.folded)
		}
		return moved
	}
	for _, s := range t.sources {
		set(s.field, s.position())
		set(s.sinceField, s.since)
		if b.door && s.Topic == b.facts && len(t.loading) == 0 {
			t.folded = max(t.folded, s.folded())
			set(fieldFolded, t.folded)
		}
	}
	return moved
}

// lose gives a task up: its memory is dropped, React calls are cancelled, and it is taken over anew when its produce in flight
// has ended and the group says that the generation still holds.
func (c *cycle) lose(t *task, why string) {
	if !t.dead {
		t.drop()
		c.watch.lost(t, why)
	}
}

func (t *task) drop() {
	t.dead = true
	t.cancel()
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
