package participant

import (
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"github.com/troupe-dev/troupe/pkg/participant/internal/timers"
	"github.com/troupe-dev/troupe/pkg/participant/internal/workers"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// maxIdleOrders is how many orders with nothing under way a task keeps in memory: some 3 KB of each, where a backlog of
// more takes a tenth more of the processor's time (docs/performance.md).
const maxIdleOrders = 2048

// maxIdleBytes is how much such orders may take together as they are stored, in an instance that has all partitions,
// also while these are folded. In memory it is twice as much.
const maxIdleBytes = 32 << 20

// engine is the part of a participant that owns partitions, reads their inputs and writes their changes.
type engine = task.Engine[*partition]

// cycle is what the partitions of one generation share. The engine's goroutine owns it; React calls, produces and
// readings run beside it.
type cycle struct {
	*engine
	b     *behavior
	cfg   Config
	watch *watch
	pool  *workers.Pool // React calls

	turn     int    // the task that comes first where there is not room for all: of retries, of readings
	readings int    // of logs, under way
	inFlight int    // produce requests
	packed   []byte // memory in which orders are packed
}

// partition is one partition of one participant: it alone decides the facts in this partition of the participant's own
// topics.
type partition struct {
	*task.Partition
	c       *cycle
	sources []*source
	own     []*ownLog
	orders  map[string]*order
	bytes   int         // of these, as they are stored
	loading []*delivery // whose orders are not in memory yet
	outbox  outbox.Outbox
	timers  timers.Timers // deadlines, and times of retry

	generation orders.Generation // where orders are written
	before     bool              // there may be orders of the generation before
	counted    []string          // keys whose loss is noticed, and the generations that they are of
	countedOf  [2]int64

	runnable []*order             // whose queues may go on
	resting  map[*order]time.Time // until when: queues in back-off; retries of dead letters are timers
	holds    map[*delivery]*order
	due      []string                        // orders whose deadline passed
	dueSoon  []string                        // those of them that wait until the inputs are read up to dueEnds
	dueEnds  map[broker.TopicPartition]int64 // nil: not known yet
	asking   bool                            // for dueEnds; what passes meanwhile is asked for anew
	endsAt   time.Time                       // not before then they are asked for again

	parked    map[string]bool // orders with dead letters; true: they wait for a person
	forPerson int             // those that do
	retryDue  []string        // orders whose time of retry has come
	retrying  int             // those of them in their queues
	stopped   *order          // whose next dead letter would pass a bound; nil: the partition goes on

	running    int  // React calls
	inFlight   int  // produce batches
	unreadable bool // the store holds an order that cannot be read

	// What the next change writes.
	touched []*order
	ready   []*delivery
	ops     []taskstore.Op
	evolved bool // the state of an order, by a fact of the log

	met      map[uint64]struct{} // while an emptied store is folded: hashes of the orders it may hold again; nil: any
	unfolded int                 // facts that a fold could not take
	folded   int64               // see source.folded; never goes back
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
	refused  error // why the broker will not take the next entry; nil: it does
}

func newPartition(p *task.Partition, c *cycle) *partition {
	t := &partition{
		Partition: p, c: c, orders: map[string]*order{}, resting: map[*order]time.Time{}, holds: map[*delivery]*order{},
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

// source is the input with a topic.
func (t *partition) source(topic string) *source {
	return t.sources[slices.IndexFunc(t.sources, func(s *source) bool { return s.Topic == topic })]
}

// log is one of those that the task writes.
func (t *partition) log(topic string) *ownLog {
	return t.own[slices.IndexFunc(t.own, func(l *ownLog) bool { return l.Topic == topic })]
}

// resume has the order's queue go on with the next step of the cycle.
func (t *partition) resume(o *order) {
	if !o.runnable {
		o.runnable = true
		t.runnable = append(t.runnable, o)
	}
}

// backOff lets an order's queue rest until a delivery that failed so often may be tried again.
func (t *partition) backOff(o *order, tries int) {
	o.queue.retryAt = time.Now().Add(wait.Backoff(tries))
	t.resting[o] = o.queue.retryAt
}

// goOn ends an order's back-off.
func goOn(t *partition, o *order) {
	delete(t.resting, o)
	o.queue.retryAt = time.Time{}
	t.resume(o)
}

// wakenBy is how many more orders go on when one has passed that waited for something unavailable: all of them within
// moments where that is back, ever fewer where it answers less than half of what it is asked.
const wakenBy = 2

// wakeOthers has some orders go on before their back-off ends, of those that wait for something unavailable.
func (c *cycle) wakeOthers() {
	left := wakenBy
	for t := range c.Alive() {
		for o := range t.resting {
			if left == 0 {
				return
			}
			if o.queue.waiting {
				goOn(t, o)
				left--
			}
		}
	}
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

// arm sets or clears the order's timer after its state or its dead letters changed.
func (t *partition) arm(o *order) {
	if at, ok := o.wakeAt(t.c.b); ok {
		t.timers.Set(o.ID, at)
	} else {
		t.timers.Clear(o.ID)
	}
}

// forget drops orders from memory with nothing under way, when there are many.
func (t *partition) forget() {
	bytes := maxIdleBytes / t.c.cfg.Partitions
	for _, o := range t.orders {
		if len(t.orders) <= maxIdleOrders && t.bytes <= bytes {
			return
		}
		if o.idle(t.outbox.Settled()) {
			drop(t, o)
		}
	}
}

// weigh takes over how large an order is as it is stored.
func weigh(t *partition, o *order, bytes int) {
	t.bytes += bytes - o.bytes
	o.bytes = bytes
}

// drop takes an order out of memory.
func drop(t *partition, o *order) {
	weigh(t, o, 0)
	delete(t.orders, o.ID)
}

// someWaiting is how many queues may wait in any case.
const someWaiting = 16

// mostlyWaiting says that most orders of this task wait for something unavailable: fetching more would only fill
// memory.
func (t *partition) mostlyWaiting() bool {
	if len(t.resting) <= someWaiting {
		return false
	}
	pending, waiting := 0, t.waiting()
	for _, s := range t.sources {
		pending += s.pending
	}
	return waiting > someWaiting && 2*waiting > pending
}

// waiting is how many orders wait for something unavailable.
func (t *partition) waiting() (n int) {
	for o := range t.resting {
		if o.queue.waiting {
			n++
		}
	}
	return n
}

// release tries held events again: something of their order was answered.
func (t *partition) release(o *order) {
	if len(o.queue.held) == 0 {
		return
	}
	for _, d := range o.queue.list {
		if o.queue.held[d.topic()] {
			delete(t.holds, d)
		}
	}
	clear(o.queue.held)
}
