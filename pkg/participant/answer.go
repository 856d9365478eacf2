package participant

import (
	"cmp"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"google.golang.org/protobuf/proto"
)

// take handles React's answer.
func (c *cycle) take(a result) {
	t, o, d := a.t, a.o, a.d
	t.running--
	if t.Lost() {
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
	c.watch.failed(d, class, a.err)
	switch class {
	case fault.NotYet:
		if d.request != nil {
			d.request.asks.held[d.topic()] = d
			break
		}
		d.heldAt = now
		if l.held == nil {
			l.held = map[string]bool{}
		}
		l.held[d.topic()] = true
		t.holds[d] = o
	case fault.Unavailable:
		if d.request != nil && d.request.asks.automatic {
			c.retryLater(t, o, d.request)
			break
		}
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
func (c *cycle) nothing(t *partition, o *order, d *delivery) {
	o.moved(d)
	o.Answered(d.ev.ID)
	c.watch.event(eventsUnanswered, d, "")
	if d.src == nil {
		t.arm(c.b, o) // the deadline is answered: its timer goes
	}
	c.release(t, o)
	c.done(t, o, d)
}

// decide makes the fact that answers a delivery: next in the order's chain, its id made from the cause.
func (c *cycle) decide(t *partition, o *order, d *delivery, body proto.Message) {
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
		ID: event.FactID(d.ev.ID, c.b.name, typ), Type: typ, Source: c.b.name, Subject: o.ID, Time: c.cfg.Clock.Now().UTC(),
		Sequence: o.Own.Sequence + 1, PreviousID: o.Own.ID, CausationID: d.ev.ID, TraceParent: cmp.Or(o.Trace, d.ev.TraceParent), Data: data,
	}}
	if err := o.evolve(c.b, fact, -1); err != nil {
		c.park(t, o, d, err)
		return
	}
	if d.src != nil {
		o.moved(d)
	}
	o.Answered(d.ev.ID)
	hop, sent := c.watch.send(d, t.log(c.b.facts).TopicPartition, fact.ID)
	var answers broker.Headers
	if d.request != nil {
		answers = d.request.asks.Answers()
	}
	rec := event.ToRecord(fact.Event, c.b.facts, t.Number, hop, answers)
	t.enqueue(o, &outbox.Entry{Order: o.ID, ID: fact.ID, Seq: fact.Sequence, Prev: fact.PreviousID, Record: rec, Ended: sent})
	t.arm(c.b, o)
	o.lane.settling = true
	c.watch.event(eventsAnswered, d, "")
	c.release(t, o)
	c.done(t, o, d)
}

// release tries held events again: something of their order was answered.
func (c *cycle) release(t *partition, o *order) {
	if len(o.lane.held) == 0 {
		return
	}
	for _, d := range o.lane.queue {
		if o.lane.held[d.topic()] {
			delete(t.holds, d)
		}
	}
	clear(o.lane.held)
}

// done takes a delivery out of its lane; with the next apply it counts as applied. A letter goes out of its chain.
func (c *cycle) done(t *partition, o *order, d *delivery) {
	if d.request != nil {
		c.settle(t, o, d.request, d.letter, d.request.asks.kind(d.letter))
		return
	}
	o.lane.remove(d)
	if d.asks != nil && d.asks.automatic {
		t.retrying--
	}
	delete(t.holds, d)
	t.touch(o)
	if d.src != nil {
		d.entry = o.entry
		t.ready = append(t.ready, d)
	}
}
