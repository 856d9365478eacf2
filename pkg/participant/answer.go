package participant

import (
	"cmp"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"google.golang.org/protobuf/proto"
)

// maxFactBytes keeps a fact well under the broker's default limit of a batch, 1 MiB.
const maxFactBytes = 900 << 10

// nothing answers a delivery with no fact: it is seen, and that is all.
func (t *partition) nothing(o *order, d *delivery) {
	o.accept(d)
	o.Answered(d.ev.ID)
	t.c.watch.event(eventsUnanswered, d, "")
	if d.in == nil {
		t.arm(o) // the deadline is answered: its timer goes
	}
	t.release(o)
	finish(t, o, d)
}

// decide makes the fact that answers a delivery: next in the order's chain, its id made from the cause.
func (t *partition) decide(o *order, d *delivery, body proto.Message) {
	c, typ := t.c, event.TypeOf(body)
	data, err := event.Encode(body)
	if err != nil {
		park(t, o, d, fault.New(fault.Permanent, "encode %s: %w", typ, err))
		return
	}
	if len(data) > maxFactBytes {
		park(t, o, d, fault.New(fault.Permanent, "%s has %d bytes, more than %d", typ, len(data), maxFactBytes))
		return
	}
	fact := event.Message{Body: body, Event: event.Event{
		ID: event.FactID(d.ev.ID, c.b.name, typ), Type: typ, Source: c.b.name, Subject: o.ID, Time: c.cfg.Clock.Now().UTC(),
		Sequence: o.Own().Sequence + 1, PreviousID: o.Own().ID, CausationID: d.ev.ID,
		TraceParent: cmp.Or(o.Trace, d.ev.TraceParent), Data: data,
	}}
	if err := o.evolve(c.b, fact, -1); err != nil {
		park(t, o, d, err)
		return
	}
	if d.in != nil {
		o.accept(d)
	}
	o.Answered(d.ev.ID)
	hop, sent := c.watch.send(d, t.log(c.b.facts).TopicPartition, fact.ID)
	var answers broker.Headers
	if d.request != nil {
		answers = d.request.asks.Answers()
	}
	rec := event.ToRecord(fact.Event, c.b.facts, t.Number, hop, answers)
	t.enqueue(o, &outbox.Entry{
		Order: o.ID, ID: fact.ID, Seq: fact.Sequence, Prev: fact.PreviousID, Record: rec, Ended: sent,
	})
	t.arm(o)
	o.queue.storing = true
	c.watch.event(eventsAnswered, d, "")
	t.release(o)
	finish(t, o, d)
}

// evolve folds the next fact of the own topic into the state of its order.
func (t *partition) evolve(o *order, d *delivery) error {
	m, err := event.Decode(d.ev)
	if err != nil {
		t.c.watch.event(eventsUndecodable, d, "")
		m = event.Message{Event: d.ev}
	}
	if err := o.evolve(t.c.b, m, d.rec.Offset); err != nil {
		return err
	}
	t.arm(o)
	t.evolved = true
	answeredInLog(t, o, *d.rec, d.ev.CausationID)
	t.touch(o)
	t.release(o)
	return nil
}
