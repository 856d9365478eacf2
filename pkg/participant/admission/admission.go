package admission

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

const (
	// markerInFlight is how long a marker without an answer counts as a request under way: longer than a produce usually
	// takes. One that takes longer still publishes the same event as the retry.
	markerInFlight = 15 * time.Second
	// markWithin bounds the write of a marker once the event is in the log: nothing depends on it.
	markWithin = 500 * time.Millisecond
	// maxWaiting is how many requests wait for the store or the fold at once. More are refused: while a store is silent, a
	// request that comes is worth no more than the ones that wait.
	maxWaiting = 1000
)

var refusedFull = telemetry.AdmissionFull.Counter()

// Control admits requests to one participant, in one instance. Its methods may be called by anybody.
type Control[S any] struct {
	fold
	out     appender
	waiting chan struct{} // has a place for each request that waits
}

// Order is one, as its task has folded it.
type Order[S any] struct {
	State S
	// Offset of the order's first fact in the participant's own topic, -1 when the log no longer holds it.
	Offset    int64
	Partition int
	// TraceParent of the transmission that began the order; empty when unknown. See telemetry.Rejoin.
	TraceParent string
}

// Decision is what is known of an order id before it publishes the order's first fact.
type Decision[S any] struct {
	// Folded is the order when its first fact is folded already: compare with it. Nil otherwise.
	Folded *Order[S]
	// SameBody: a request with this id and this hash was admitted before (only when Folded is nil and New is false).
	SameBody bool
	// Published: that earlier request's fact is in the log, at Offset. False: still in flight.
	Published bool
	Offset    int64
	Partition int
	// New: nobody was here before; publish now, then call Admitted. An admission that is not followed by Admitted lapses
	// after 15 s.
	New bool
}

// New returns the admission control of a participant. It opens nothing.
func New[S any](b participant.Behavior[S], cfg participant.Config) *Control[S] {
	topic := participant.FactsTopic(b.Name)
	return &Control[S]{
		fold: fold{
			topic: topic, version: b.Version(), cfg: cfg, st: taskstore.New(cfg.Redis, b.Name),
			trusted: map[int]view{}, generations: map[int]int64{},
			now:  present{topic: topic, ask: make(chan struct{}, 1)},
			ends: ends{log: cfg.Log, topic: topic, next: map[int]*end{}, running: map[int]bool{}},
		},
		out:     appender{log: cfg.Log, status: refusals{name: b.Name}, waiting: map[int][]*request{}},
		waiting: make(chan struct{}, maxWaiting),
	}
}

// enter takes a place among the requests that wait, until leave is called; ctx ends when the request has waited long
// enough.
func (c *Control[S]) enter(
	ctx context.Context, within time.Duration,
) (bounded context.Context, leave func(), err error) {
	select {
	case c.waiting <- struct{}{}:
	default:
		refusedFull.Add(ctx, 1)
		return nil, nil, fault.Later(time.Second, "%d requests wait for the store or the fold already", maxWaiting)
	}
	bounded, cancel := context.WithTimeout(ctx, max(within, lookWithin))
	return bounded, func() { cancel(); <-c.waiting }, nil
}

// Find returns an order. ok is false only when the partition is folded to the log's end as it was on arrival; a
// partition that is not there yet within the wait is an Unavailable error with RetryAfter.
func (c *Control[S]) Find(ctx context.Context, orderID string, within time.Duration) (f Order[S], ok bool, err error) {
	ctx, leave, err := c.enter(ctx, within)
	if err != nil {
		return Order[S]{}, false, err
	}
	defer leave()
	p := broker.Partition([]byte(orderID), c.cfg.Partitions)
	l, err := c.look(ctx, p, orderID, "", view{}, "")
	if err == nil && !l.exists() {
		l, err = c.reach(ctx, p, orderID, within)
	}
	if err != nil || !l.exists() {
		return Order[S]{}, false, err
	}
	f, err = c.found(p, orderID, l)
	return f, err == nil, err
}

func (c *Control[S]) found(p int, id string, l looked) (Order[S], error) {
	f := Order[S]{Partition: p}
	o := orders.Order{ID: id}
	err := o.Read(l.order)
	if err == nil && o.State != "" {
		err = json.Unmarshal([]byte(o.State), &f.State)
	}
	if err != nil {
		return Order[S]{}, fault.New(fault.Permanent, "an order in partition %d cannot be read: %w", p, err)
	}
	f.Offset, f.TraceParent = o.First(), o.Trace
	return f, nil
}

// Admit asks whether an order id is new, and marks it as taken when it is. hash identifies the request's body.
// Unavailable while that cannot be known, which takes 2 s at most, or within when that is longer, and while 1,000
// requests wait for it.
func (c *Control[S]) Admit(ctx context.Context, orderID, hash string, within time.Duration) (Decision[S], error) {
	ctx, leave, err := c.enter(ctx, within)
	if err != nil {
		return Decision[S]{}, err
	}
	defer leave()
	p := broker.Partition([]byte(orderID), c.cfg.Partitions)
	stale := ""
	for range 3 {
		now := time.Now()
		mark := hash + " - " + strconv.FormatInt(now.UnixMilli(), 10)
		l, err := c.look(ctx, p, orderID, mark, c.trustedView(p), stale)
		if err != nil {
			return Decision[S]{}, err
		}
		if l.exists() {
			f, err := c.found(p, orderID, l)
			return Decision[S]{Folded: &f, Partition: p, Offset: f.Offset}, err
		}
		if l.marked {
			c.trust(p, l.view)
			return Decision[S]{New: true, Partition: p}, nil
		}
		if a, known := admitted[S](l.marker, hash, now); known && !l.gone {
			a.Partition = p
			return a, nil
		}
		stale = l.marker
		if l, err = c.reach(ctx, p, orderID, within); err != nil {
			return Decision[S]{}, err
		}
	}
	return Decision[S]{}, fault.Later(time.Second, "the order's partition %d changes hands", p)
}

// admitted reads a marker. A request of the same body that never came to an answer is not known: its fact may be in
// the log or not.
func admitted[S any](marker, hash string, now time.Time) (Decision[S], bool) {
	part := strings.Fields(marker)
	if len(part) != 3 {
		return Decision[S]{}, false
	}
	a := Decision[S]{SameBody: part[0] == hash}
	if part[1] != "-" {
		a.Published, a.Offset = true, number(part[1], -1)
		return a, true
	}
	lapsed := now.Sub(time.UnixMilli(number(part[2], 0))) > markerInFlight
	return a, !a.SameBody || !lapsed
}

// Admitted records that the order's first fact is in the log at offset, unless the marker of its admission is gone:
// with the log, when that was replaced meanwhile. It blocks for half a second at most.
func (c *Control[S]) Admitted(ctx context.Context, orderID, hash string, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, markWithin)
	defer cancel()
	p := broker.Partition([]byte(orderID), c.cfg.Partitions)
	marker := hash + " " + strconv.FormatInt(offset, 10) + " " + strconv.FormatInt(time.Now().UnixMilli(), 10)
	err := c.cfg.Redis.SetXX(ctx, c.st.Key(p, "marker:"+orderID), marker, markerTTL).Err()
	return fault.As(fault.Unavailable, err)
}

// Ready returns nil unless Kafka has lately refused what came in here, for a reason that no waiting mends (too large,
// not authorized): then why. It does not block.
func (c *Control[S]) Ready() error { return c.out.status.ready(time.Now()) }

// Publish appends one event to the participant's own topic, acks=all, and returns where it is. Requests of one moment
// share one produce request. An error is of class Unavailable: the outcome is unknown and the same event may be
// published again.
func (c *Control[S]) Publish(ctx context.Context, e event.Event) (partition int, offset int64, err error) {
	p := broker.Partition([]byte(e.Subject), c.cfg.Partitions)
	ctx, ended := telemetry.Send(ctx, broker.TopicPartition{Topic: c.topic, Partition: p}, e.ID, e.Subject)
	offset, err = c.out.append(ctx, event.ToRecord(e, c.topic, p, telemetry.Inject(ctx, nil)))
	ended(err)
	return p, offset, err
}
