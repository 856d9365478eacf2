package participant

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
)

// Limits of the retry classes.
const (
	backoffMin     = 50 * time.Millisecond
	backoffMax     = 30 * time.Second
	transientTries = 10
	transientFor   = 2 * time.Minute
)

// delivery is one event on its way through a task.
type delivery struct {
	src      *source // nil for a local event (a deadline)
	rec      broker.Record
	ev       event.Event
	bad      error // the envelope could not be read
	order    string
	judged   bool // found valid by the chain table, and folded when it is a fact of the own topic
	applied  bool
	entry    int64 // highest outbox number that must be settled before this offset may be committed
	tries    int
	failed   error
	span     trace.SpanContext // of the last attempt
	failedAt time.Time         // of the first failure
	heldAt   time.Time         // since when it waits for its cause; zero when it does not
}

// id identifies a delivery among those seen and parked: the event's id, or where it lies when that cannot be read.
func (d *delivery) id() string {
	if d.ev.ID != "" && d.bad == nil {
		return d.ev.ID
	}
	return fmt.Sprintf("%s/%d@%d", d.rec.Topic, d.rec.Partition, d.rec.Offset)
}

func (d *delivery) topic() string { return d.rec.Topic }

// lane is the order's queue: events of one order one at a time. A held event holds back its own source only.
type lane struct {
	queue    []*delivery // in order of arrival; per source in log order
	running  *delivery
	settling bool // an answer waits for its apply: what follows must rest on it
	held     map[string]bool
	retryAt  time.Time // zero: not waiting
	waiting  bool      // for something unavailable
}

func (l *lane) empty() bool { return len(l.queue) == 0 && l.running == nil && !l.settling }

// next returns the first delivery that is not behind a held one of its source.
func (l *lane) next() *delivery {
	for _, d := range l.queue {
		if !l.held[d.topic()] {
			return d
		}
	}
	return nil
}

// wait lets the lane rest until a delivery may be tried again.
func (l *lane) wait(t *task, o *order, d *delivery) {
	l.retryAt = time.Now().Add(backoff(d.tries))
	t.retries[o] = l.retryAt
}

func (l *lane) remove(d *delivery) {
	if i := slices.Index(l.queue, d); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
}

// answer is what React said to a delivery.
type answer struct {
	t    *task
	o    *order
	d    *delivery
	fact proto.Message
	err  error
}

type reactFunc func(ctx context.Context, state any, m event.Message) (proto.Message, error)

// reactUntyped calls React, turning a panic into an error that parks the event.
func (b Behavior[S]) reactUntyped(ctx context.Context, state any, m event.Message) (fact proto.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			fact, err = nil, &panicked{value: r, stack: debug.Stack()}
		}
	}()
	return b.React(ctx, state.(S), m)
}

// panicked is a React that panicked. It is parked at once.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// classOf is fault.ClassOf with the two classes that only the cycle knows: a panic is permanent, and an attempt whose
// context ended (the instance leaves) is unavailable.
func classOf(err error) fault.Class {
	var p *panicked
	if errors.As(err, &p) {
		return fault.Permanent
	}
	if errors.Is(err, context.Canceled) {
		return fault.Unavailable
	}
	return fault.ClassOf(err)
}

// backoff is exponential from 50 ms to 30 s with full jitter on its upper half.
func backoff(tries int) time.Duration {
	d := backoffMax
	if tries < 10 {
		d = min(backoffMax, backoffMin<<max(0, tries-1))
	}
	return d/2 + rand.N(d/2+1)
}

// run asks React in a goroutine of the cycle's group; the answer joins whichever cycle comes next.
func (c *cycle) run(t *task, o *order, d *delivery, m event.Message) {
	o.lane.running = d
	t.running++
	state := o.state
	c.work.Go(func() {
		a := answer{t: t, o: o, d: d}
		select {
		case c.slots <- struct{}{}:
			ctx, end := c.watch.process(t.ctx, c.b.name, d)
			a.fact, a.err = c.b.react(WithNow(ctx, time.Now()), state, m)
			end(a.err)
			<-c.slots
		case <-t.ctx.Done():
			a.err = t.ctx.Err()
		}
		c.answers <- a
	})
}

// pump starts what the order's lane may do now.
func (c *cycle) pump(t *task, o *order) {
	l := &o.lane
	for l.running == nil && !l.settling && l.retryAt.IsZero() && !c.leaving && !t.stopped && !t.dead {
		d := l.next()
		if d == nil {
			return
		}
		c.step(t, o, d)
	}
}

// step decides what becomes of one delivery: dropped, parked behind others, folded, answered with nothing, or asked.
func (c *cycle) step(t *task, o *order, d *delivery) {
	if d.bad != nil {
		c.park(t, o, d, d.bad)
		return
	}
	if d.src == nil { // a deadline
		if o.seen[d.ev.ID] || len(o.parked) > 0 {
			c.done(t, o, d)
			return
		}
		c.run(t, o, d, event.Message{Event: d.ev})
		return
	}
	if !d.judged {
		j, err := c.judge(t, o, d)
		if err != nil {
			o.lane.wait(t, o, d)
			return
		}
		switch j {
		case duplicate:
			o.moved(d.topic(), d.ev)
			c.watch.event(d, "duplicate")
			c.done(t, o, d)
			return
		case void:
			c.watch.void(d)
			c.done(t, o, d)
			return
		}
		if d.topic() == c.b.facts && d.ev.Sequence > 0 && !c.foldOwn(t, o, d) {
			return
		}
		d.judged = true
	}
	if len(o.parked) > 0 {
		c.park(t, o, d, nil)
		return
	}
	if !c.b.hears[d.topic()][d.ev.Type] {
		c.nothing(t, o, d)
		return
	}
	m, err := event.Decode(d.ev)
	if err != nil {
		c.park(t, o, d, err)
		return
	}
	c.run(t, o, d, m)
}

// foldOwn takes a valid fact of the own topic, met as input: one that this task decided is only marked consumed; one of the
// door evolves the state once and goes on to React (true); one that contradicts what was decided means that the log knows
// better.
func (c *cycle) foldOwn(t *task, o *order, d *delivery) bool {
	e := d.ev
	switch {
	case e.Sequence <= o.own.seq:
		if other := t.undelivered(o.id, e.Sequence); other != nil && other.ID != e.ID {
			c.lose(t, "contradicted")
			return false
		}
	case o.follows(e):
		m, err := event.Decode(e)
		if err != nil {
			c.watch.event(d, "undecodable")
			m = event.Message{Event: e}
		}
		if err := o.evolve(c.b, m, d.rec.Offset); err != nil {
			c.park(t, o, d, err)
			return false
		}
		t.arm(c.b, o)
		o.answered(e.CausationID)
		t.touch(o)
	default:
		c.lose(t, "contradicted")
		return false
	}
	if e.CausationID != "" {
		o.moved(d.topic(), e)
		o.answered(e.ID)
		c.done(t, o, d)
		return false
	}
	return true
}

// take handles React's answer.
func (c *cycle) take(a answer) {
	t, o, d := a.t, a.o, a.d
	t.running--
	if t.dead {
		return
	}
	l := &o.lane
	l.running = nil
	l.waiting = false
	if a.err == nil {
		if a.fact == nil {
			c.nothing(t, o, d)
		} else {
			c.decide(t, o, d, a.fact)
		}
		c.pump(t, o)
		return
	}
	now := time.Now()
	if d.failedAt.IsZero() {
		d.failedAt = now
	}
	d.failed = a.err
	d.tries++
	class := classOf(a.err)
	c.watch.failure(d, class, a.err)
	switch class {
	case fault.NotYet:
		d.heldAt = now
		l.held[d.topic()] = true
		t.holds[d] = o
	case fault.Unavailable:
		l.waiting = true
		l.wait(t, o, d)
	case fault.Transient:
		if d.tries >= transientTries || now.Sub(d.failedAt) >= transientFor {
			c.park(t, o, d, a.err)
			break
		}
		l.wait(t, o, d)
	default:
		c.park(t, o, d, a.err)
	}
	c.pump(t, o)
}

// nothing answers a delivery with no fact: it is seen, and that is all.
func (c *cycle) nothing(t *task, o *order, d *delivery) {
	o.moved(d.topic(), d.ev)
	o.answered(d.ev.ID)
	c.watch.event(d, "nothing")
	c.release(t, o)
	c.done(t, o, d)
}

// decide makes the fact that answers a delivery: next in the order's chain, its id made from the cause.
func (c *cycle) decide(t *task, o *order, d *delivery, body proto.Message) {
	data, err := event.Encode(body)
	if err != nil {
		c.park(t, o, d, fault.New(fault.Permanent, "encode %s: %w", event.TypeOf(body), err))
		return
	}
	if len(data) > maxFactBytes {
		c.park(t, o, d, fault.New(fault.Permanent, "%s has %d bytes, more than %d", event.TypeOf(body), len(data), maxFactBytes))
		return
	}
	typ := event.TypeOf(body)
	fact := event.Message{Body: body, Event: event.Event{
		ID: event.FactID(d.ev.ID, c.b.name, typ), Type: typ, Source: c.b.name, Subject: o.id, Time: time.Now().UTC(),
		Sequence: o.own.seq + 1, PreviousID: o.own.id, CausationID: d.ev.ID, TraceParent: d.ev.TraceParent, Data: data,
	}}
	if err := o.evolve(c.b, fact, -1); err != nil {
		c.park(t, o, d, err)
		return
	}
	if d.src != nil {
		o.moved(d.topic(), d.ev)
	}
	o.answered(d.ev.ID)
	rec := event.ToRecord(fact.Event, c.b.facts, t.partition, c.watch.hop(d)...)
	t.enqueue(o, &entry{Order: o.id, ID: fact.ID, Seq: fact.Sequence, Record: rec})
	t.arm(c.b, o)
	o.lane.settling = true
	c.watch.event(d, "answered")
	c.release(t, o)
	c.done(t, o, d)
}

// release tries held events again: something of their order was answered.
func (c *cycle) release(t *task, o *order) {
	for _, d := range o.lane.queue {
		if o.lane.held[d.topic()] {
			delete(t.holds, d)
		}
	}
	clear(o.lane.held)
}

// done takes a delivery out of its lane; with the next apply it counts as applied.
func (c *cycle) done(t *task, o *order, d *delivery) {
	o.lane.remove(d)
	delete(t.holds, d)
	t.touch(o)
	if d.src != nil {
		d.entry = o.entry
		t.ready = append(t.ready, d)
	}
}
