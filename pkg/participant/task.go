package participant

import (
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"github.com/troupe-dev/troupe/pkg/participant/internal/timers"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// maxFactBytes keeps a fact well under the broker's default limit of a batch, 1 MiB.
const maxFactBytes = 900 << 10

// maxIdleOrders is how many orders with nothing under way a task keeps in memory.
const maxIdleOrders = 2048

// partition is one partition of one participant: it alone decides the facts in this partition of the participant's own
// topics.
type partition struct {
	*task.Partition
	sources []*source
	own     []*ownLog
	orders  map[string]*order
	loading []*delivery // whose orders are not in memory yet
	outbox  outbox.Outbox
	timers  timers.Timers // deadlines, and times of retry
	// generation is where orders are written, and dated the last one whose end Redis was told.
	generation, dated int64
	before            bool // there may be orders of the generation before
	witness           witness
	due               []string // orders whose deadline passed
	dueSoon           []string // those of them that wait until the inputs are read up to dueEnds
	dueEnds           map[broker.TopicPartition]int64
	retries           map[*order]time.Time
	holds             map[*delivery]*order
	parked            map[string]bool // orders with letters; true: they wait for a person
	forPerson         int             // those that do
	retryDue          []string        // orders whose time of retry has come
	retrying          int             // those of them in their lanes
	stopped           *order          // whose next letter would pass a bound; nil: the partition goes on
	running           int             // React calls
	inFlight          int             // produce batches
	unreadable        bool            // the store holds an order that cannot be read

	// What the next change writes.
	touched []*order
	ready   []*delivery
	ops     []taskstore.Op
	evolved bool // the state of an order, by a fact of the log

	met    map[uint64]struct{} // while a store just emptied is folded: hashes of the orders it may hold again; nil: it may hold any
	folded int64               // see source.folded; never goes back
}

// ownLog is one topic this task writes.
type ownLog struct {
	broker.TopicPartition
	field    string // of its position in meta
	expected int64  // the offset the next append should get; another one means that somebody else appended
	busy     bool   // a produce is in flight
	retryAt  time.Time
	tries    int
	most     int   // entries of a batch, while one that the broker refuses is looked for; 0: as many as fit
	refused  error // why the broker will not take the next entry; nil when it does
}

// New implements task.Handler.
func (c *cycle) New(p *task.Partition) *partition {
	t := &partition{
		Partition: p, orders: map[string]*order{}, retries: map[*order]time.Time{}, holds: map[*delivery]*order{},
		parked: map[string]bool{},
	}
	for _, in := range p.Inputs {
		t.sources = append(t.sources, &source{Input: in})
	}
	for _, topic := range []string{c.b.facts, c.b.letters} {
		t.own = append(t.own, &ownLog{
			TopicPartition: broker.TopicPartition{Topic: topic, Partition: p.Number}, field: task.PrefixOwn + topic,
		})
	}
	return t
}

func (t *partition) source(topic string) *source {
	for _, s := range t.sources {
		if s.Topic == topic {
			return s
		}
	}
	return nil
}

// log is one of those that the task writes.
func (t *partition) log(topic string) *ownLog {
	return t.own[slices.IndexFunc(t.own, func(l *ownLog) bool { return l.Topic == topic })]
}

// Need implements task.Handler. Somebody waits for a fact or a letter that may only be published once it is stored,
// for what the state of an order became, or for the room that events take. What was found a duplicate, a fact that
// changed nothing here and what left the outbox may wait for a while: until they are written the position does not
// pass them, and nothing is committed.
func (c *cycle) Need(t *partition) task.Need {
	switch {
	case t.outbox.HasUnstored() || t.evolved || len(t.ops) > 0 || len(t.ready) > 0 && t.crowded():
		return task.Now
	case t.Moved || len(t.ready)+len(t.touched) > 0 || t.timers.Changed():
		return task.Soon
	}
	return task.Nothing
}

// crowded says that a source may have no room: it holds as much as each may have, however many there are.
func (t *partition) crowded() bool {
	return slices.ContainsFunc(t.sources, func(s *source) bool { return s.full(minWindowEvents) })
}

// touch remembers that an order has something to write, or may leave memory later.
func (t *partition) touch(o *order) {
	if !o.touched {
		o.touched = true
		t.touched = append(t.touched, o)
	}
}

// enqueue appends to the outbox, in memory now and in the store with the next change.
func (t *partition) enqueue(o *order, e *outbox.Entry) {
	t.outbox.Add(e)
	o.entry = e.Number()
	t.touch(o)
}

// arm sets or clears the order's timer after its state or its letters changed.
func (t *partition) arm(b *behavior, o *order) {
	if at, ok := o.wakeAt(b); ok {
		t.timers.Set(o.ID, at)
	} else {
		t.timers.Clear(o.ID)
	}
}

// forget drops orders from memory with nothing under way, when there are many.
func (t *partition) forget() {
	excess := len(t.orders) - maxIdleOrders
	for id, o := range t.orders {
		if excess <= 0 {
			return
		}
		if o.idle(t.outbox.Settled()) {
			delete(t.orders, id)
			excess--
		}
	}
}

// deliver makes a delivery of a record; one that cannot be read belongs to the order that its key names, if it can be
// that of one, or else to one of its own.
func (b *behavior) deliver(d *delivery, s *source, r *broker.Record) {
	d.src, d.rec = s, r
	d.ev, d.bad = event.FromRecord(*r)
	if d.order = d.ev.Subject; d.bad != nil {
		d.order = deadletter.OrderOfKey(r.Key, d.id())
	}
	if s.Topic == b.requests {
		var q deadletter.Request
		if q, d.bad = deadletter.ParseRequest(*r); d.bad == nil {
			d.asks = &redriving{Request: q, held: map[string]*delivery{}}
		}
	}
}
