package participant

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// maxFactBytes keeps a fact well under the broker's default limit of a batch, 1 MiB.
const maxFactBytes = 900 << 10

// maxIdleOrders is how many orders with nothing under way a task keeps in memory.
const maxIdleOrders = 2048

// task is one partition of one participant: it alone decides the facts in this partition of the participant's own topics.
type task struct {
	partition int
	ctx       context.Context // ends when the task is lost or the generation over
	cancel    context.CancelFunc
	dead      bool // lost: its memory must not be used again
	owner     string
	seq       int64
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

	// What the next apply writes.
	touched  []*order
	ready    []*delivery
	ops      []taskstore.Op
	evolved  bool // the state of an order, by a fact of the log
	folding  bool
	met      map[uint64]struct{} // while a store just emptied is folded: hashes of the orders it may hold again; nil: it may hold any
	folded   int64               // see source.folded; never goes back
	stored   map[string]int64    // positions as last written, by field
	logs     map[string]string   // that it is folded from: their identities, by topic
	replaced map[string]bool     // topics whose positions, as found in the store, were of logs that are gone
	// identities are fields of meta, and their values, to be written with the first positions of all inputs: which logs they are of.
	identities []string
	moving     bool      // positions may be others than what is stored
	resend     *change   // sent, outcome unknown
	compared   time.Time // when the store last agreed
}

// ownLog is one topic this task writes.
type ownLog struct {
	broker.TopicPartition
	field    string // of its position
	expected int64  // the offset the next append should get; another one means that somebody else appended
	busy     bool   // a produce is in flight
	retryAt  time.Time
	tries    int
	most     int   // entries of a batch, while one that the broker refuses is looked for; 0: as many as fit
	refused  error // why the broker will not take the next entry; nil when it does
}

func newTask(ctx context.Context, b *behavior, partition int) *task {
	t := &task{
		partition: partition, moving: true, orders: map[string]*order{}, retries: map[*order]time.Time{},
		holds: map[*delivery]*order{}, parked: map[string]bool{}, stored: map[string]int64{},
		pending: map[string][]*entry{},
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	for _, topic := range b.topics {
		t.sources = append(t.sources, &source{
			TopicPartition: broker.TopicPartition{Topic: topic, Partition: partition}, field: prefixIn + topic, end: -1, committed: uncommitted,
			sinceField: prefixSince + topic,
		})
	}
	for _, topic := range []string{b.facts, b.letters} {
		t.own = append(t.own, &ownLog{TopicPartition: broker.TopicPartition{Topic: topic, Partition: partition}, field: prefixOwn + topic})
	}
	return t
}

func (t *task) source(topic string) *source {
	for _, s := range t.sources {
		if s.Topic == topic {
			return s
		}
	}
	return nil
}

// log is one of those that the task writes.
func (t *task) log(topic string) *ownLog {
	return t.own[slices.IndexFunc(t.own, func(l *ownLog) bool { return l.Topic == topic })]
}

// lately says that the store has agreed within compareEvery.
func (t *task) lately(now time.Time) bool { return now.Sub(t.compared) < compareEvery }

// stirred says that there may be something to write.
func (t *task) stirred() bool {
	return t.moving || len(t.ready)+len(t.touched)+len(t.ops)+len(t.timers.changed) > 0 || t.kept < t.number
}

// urgent says that there is something to write that somebody waits for: a fact or a letter that may only be published then, what the
// state of an order became, or events that take the room of others. What was found a duplicate, a fact that changed nothing here and
// what left the outbox may wait for a while: until they are written the position does not pass them, and nothing is committed.
func (t *task) urgent() bool {
	return t.kept < t.number || t.evolved || len(t.ops) > 0 || len(t.ready) > 0 && t.crowded()
}

// crowded says that a source may have no room: it holds as much as each may have, however many there are.
func (t *task) crowded() bool {
	return slices.ContainsFunc(t.sources, func(s *source) bool { return s.full(minWindowEvents) })
}

// touch remembers that an order has something to write, or may leave memory later.
func (t *task) touch(o *order) {
	if !o.touched {
		o.touched = true
		t.touched = append(t.touched, o)
	}
}

// enqueue appends to the outbox, in memory now and in the store with the next apply.
func (t *task) enqueue(o *order, e *entry) {
	e.body = e.encode()
	t.remember(e)
	o.entry = e.number
	t.touch(o)
}

// remember adds an entry to the outbox in memory.
func (t *task) remember(e *entry) {
	t.number++
	e.number = t.number
	t.outbox = append(t.outbox, e)
	t.pending[e.Order] = append(t.pending[e.Order], e)
}

// settle drops the entries up to a number: they are in Kafka, and trimmed from the store.
func (t *task) settle(number int64) {
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
func (t *task) undelivered(orderID string, seq uint64) *entry {
	for _, e := range t.pending[orderID] {
		if e.Seq == seq {
			return e
		}
	}
	return nil
}

// arm sets or clears the order's timer after its state or its letters changed.
func (t *task) arm(b *behavior, o *order) {
	if at, ok := o.wakeAt(b); ok {
		t.timers.keep(o.id, at)
	} else {
		t.timers.clear(o.id)
	}
}

// since returns the entries of the outbox after a number.
func (t *task) since(number int64) []*entry {
	if len(t.outbox) == 0 {
		return nil
	}
	return t.outbox[min(len(t.outbox), max(0, int(number-t.outbox[0].number+1))):]
}

// forget drops orders from memory with nothing under way, when there are many.
func (t *task) forget() {
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
