package participant

import (
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
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
	sources   []*source
	own       []*ownLog
	orders    map[string]*order
	loading   []*delivery // whose orders are not in memory yet
	outbox    []*entry
	pending   map[string][]*entry // the same, per order
	number    int64               // of the last outbox entry
	kept      int64               // every entry up to this number is in the store, and may be published
	acked     int64               // every entry up to this number is in Kafka
	settled   int64               // and up to this one trimmed from the store
	inherited int64               // every entry up to this number was found in the store: whose answers they are is not known
	timers    timers
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
		parked: map[string]bool{}, pending: map[string][]*entry{},
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

// Need implements task.Handler. Somebody waits for a fact or a letter that may only be published once it is stored, for what the
// state of an order became, or for the room that events take. What was found a duplicate, a fact that changed nothing here and what
// left the outbox may wait for a while: until they are written the position does not pass them, and nothing is committed.
func (c *cycle) Need(t *partition) task.Need {
	switch {
	case t.kept < t.number || t.evolved || len(t.ops) > 0 || len(t.ready) > 0 && t.crowded():
		return task.Now
	case t.Moved || len(t.ready)+len(t.touched)+len(t.timers.changed) > 0:
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

// enqueue appends to the outbox, in memory now and in the store with the next apply.
func (t *partition) enqueue(o *order, e *entry) {
	e.body = e.encode()
	t.remember(e)
	o.entry = e.number
	t.touch(o)
}

// remember adds an entry to the outbox in memory.
func (t *partition) remember(e *entry) {
	t.number++
	e.number = t.number
	t.outbox = append(t.outbox, e)
	t.pending[e.Order] = append(t.pending[e.Order], e)
}

// settle drops the entries up to a number: they are in Kafka, and trimmed from the store.
func (t *partition) settle(number int64) {
	for len(t.outbox) > 0 && t.outbox[0].number <= number {
		e := t.outbox[0]
		if rest := t.pending[e.Order][1:]; len(rest) > 0 {
			t.pending[e.Order] = rest
		} else {
			delete(t.pending, e.Order)
		}
		t.outbox[0] = nil
		t.outbox = t.outbox[1:]
	}
	t.settled = number
}

// undelivered returns the fact of an order with a sequence that is decided and not yet settled.
func (t *partition) undelivered(orderID string, seq uint64) *entry {
	for _, e := range t.pending[orderID] {
		if e.Seq == seq {
			return e
		}
	}
	return nil
}

// arm sets or clears the order's timer after its state or its letters changed.
func (t *partition) arm(b *behavior, o *order) {
	if at, ok := o.wakeAt(b); ok {
		t.timers.keep(o.id, at)
	} else {
		t.timers.clear(o.id)
	}
}

// since returns the entries of the outbox after a number.
func (t *partition) since(number int64) []*entry {
	if len(t.outbox) == 0 {
		return nil
	}
	return t.outbox[min(len(t.outbox), max(0, int(number-t.outbox[0].number+1))):]
}

// forget drops orders from memory with nothing under way, when there are many.
func (t *partition) forget() {
	excess := len(t.orders) - maxIdleOrders
	for id, o := range t.orders {
		if excess <= 0 {
			return
		}
		if o.idle(t.settled) {
			delete(t.orders, id)
			excess--
		}
	}
}

// deliver makes a delivery of a record; one that cannot be read belongs to the order that its key names, if it can be that of one, or
// else to one of its own.
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
