package participant

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Bounds of what may be parked. At a bound the partition stops, loudly: parking more would hide an outage.
const (
	maxParkedOrders    = 10_000
	maxLettersPerOrder = 1_000
)

// park publishes a delivery to the dead-letter topic and remembers that its order waits. cause nil: it waits behind an earlier
// letter. A letter that fails again stays where it is.
func (c *cycle) park(t *partition, o *order, d *delivery, cause error) {
	if d.request != nil {
		c.failed(t, o, d, cause)
		return
	}
	id := d.id()
	if o.waits(id) || o.saw(id) {
		c.done(t, o, d)
		return
	}
	rec := c.letter(o, d, cause, id)
	if t.full(o, rec.RetryAt.IsZero()) {
		c.stop(t, o)
		return
	}
	o.park(id, d.topic(), rec.RetryAt)
	if d.src != nil && d.bad == nil {
		o.moved(d)
	}
	letter := deadletter.Park(*d.rec, rec)
	t.enqueue(o, &outbox.Entry{Order: o.id, ID: id, Record: letter})
	c.keepLetter(t, o, id, letter)
	o.lane.settling = true
	c.watch.parked(d, rec)
	c.release(t, o)
	c.done(t, o, d)
}

// full says that another letter of the order would pass a bound: of its chain, or of the orders that wait for a person, as this would.
func (t *partition) full(o *order, forPerson bool) bool {
	return len(o.parked) == 0 && forPerson && t.forPerson >= maxParkedOrders || len(o.parked) >= maxLettersPerOrder
}

// stop stops a partition at the bound of what may be parked, loudly: parking more would hide an outage. It hears requests alone
// until there is room.
func (c *cycle) stop(t *partition, o *order) {
	if t.stopped == nil {
		c.watch.log.Error("partition stopped: too many dead letters; redrive or discard some",
			"partition", t.Number, "order_id", o.id, "orders_parked", t.forPerson, "letters_of_order", len(o.parked))
	}
	t.stopped = o
}

// restart lets a stopped partition go on when there is room for the letter that stopped it.
func (c *cycle) restart(t *partition) {
	if t.stopped == nil || t.full(t.stopped, true) {
		return
	}
	c.watch.log.Info("partition goes on", "partition", t.Number)
	t.stopped = nil
	for _, o := range t.orders {
		c.pump(t, o)
	}
}

// keepLetter writes a letter to those that wait for its order.
func (c *cycle) keepLetter(t *partition, o *order, id string, rec broker.Record) {
	body, _ := json.Marshal(rec) // plain data, cannot fail
	t.ops = append(t.ops, taskstore.Op{Cmd: "HSET", Key: "parked:" + o.id, Args: []string{id, string(body)}})
	c.countLetters(t, o)
}

// dropLetter takes a letter out of those that wait.
func (c *cycle) dropLetter(t *partition, o *order, id string, kind deadletter.Kind) {
	o.unpark(id, kind)
	t.ops = append(t.ops, taskstore.Op{Cmd: "HDEL", Key: "parked:" + o.id, Args: []string{id}})
	c.countLetters(t, o)
	if t.Restoring() && len(o.parked) == 0 {
		o.forgetAdopted() // what came later was answered, and may have left no trace
	}
}

// countLetters takes over how many letters of an order wait, and for what.
func (c *cycle) countLetters(t *partition, o *order) {
	op := taskstore.Op{Cmd: "HSET", Key: "parked", Args: []string{o.id, strconv.Itoa(len(o.parked))}}
	if len(o.parked) > 0 {
		t.waits(o.id, o.retryAt.IsZero())
	} else {
		t.waits(o.id, false)
		delete(t.parked, o.id)
		op = taskstore.Op{Cmd: "HDEL", Key: "parked", Args: []string{o.id}}
	}
	t.ops = append(t.ops, op)
	t.arm(c.b, o)
	t.touch(o)
}

// waits remembers that an order has letters, and whether they wait for a person.
func (t *partition) waits(orderID string, forPerson bool) {
	if t.parked[orderID] {
		t.forPerson--
	}
	if forPerson {
		t.forPerson++
	}
	t.parked[orderID] = forPerson
}

// failedAgain remembers that a redrive of a letter failed.
func (c *cycle) failedAgain(t *partition, o *order, n deadletter.Record) {
	o.failedAgain(n)
	c.countLetters(t, o)
}

// letter says why a delivery is parked.
func (c *cycle) letter(o *order, d *delivery, cause error, id string) deadletter.Record {
	now := time.Now()
	rec := deadletter.Record{
		ID: id, Group: c.b.name, Class: "behind", Message: "waits behind an earlier letter of its order",
		FirstFailure: d.failedAt, LastFailure: now, Deliveries: d.tries,
	}
	if cause != nil {
		rec.Class, rec.Message, rec.Exception = classOf(cause).String(), cause.Error(), exceptionOf(cause)
		rec.RetryAt = retryAt(cause, 0, false)
	}
	if rec.FirstFailure.IsZero() {
		rec.FirstFailure = now
	}
	if len(o.parked) > 0 {
		rec.Behind = o.parked[0].id
	}
	return rec
}

// exceptionOf is the stack of a panic; other errors say all they know in their message.
func exceptionOf(err error) string {
	var p *panicked
	if !errors.As(err, &p) {
		return ""
	}
	return string(p.stack)
}

// noteID names an entry of the outbox that goes to the dead-letter topic, so that the record can be known there. Whatever brought a
// letter back is the same: it is back.
func noteID(n deadletter.Record) string {
	switch n.Kind {
	case deadletter.Letter:
		return n.ID
	case deadletter.Failed, deadletter.Closed:
		return string(n.Kind) + " " + n.RequestID
	default:
		return "back " + n.ID
	}
}

// tell publishes what became of a letter or of a request.
func (c *cycle) tell(t *partition, o *order, n deadletter.Record) {
	n.Order, n.Group = o.id, c.b.name
	t.enqueue(o, &outbox.Entry{Order: o.id, ID: noteID(n), Record: deadletter.Tell(n, t.Number, time.Now().UTC())})
}

// foldNote reads a record of the dead-letter topic back: a letter waits unless its event was answered or discarded since.
func (c *cycle) foldNote(t *partition, r broker.Record) {
	n, err := deadletter.Parse(r)
	if err != nil {
		c.watch.unreadable(r)
		return
	}
	o := t.orders[n.Order]
	for _, e := range t.outbox.OfOrder(o.id) {
		if e.ID == noteID(n) && e.Record.Topic == c.b.letters {
			e.Acked, e.Offset = true, r.Offset
		}
	}
	t.touch(o)
	switch n.Kind {
	case deadletter.Letter:
		c.foldLetter(t, o, n, r)
	case deadletter.Failed:
		if o.waits(n.ID) {
			c.failedAgain(t, o, n)
		}
	case deadletter.Closed:
		o.answered(n.RequestID)
	default:
		if o.waits(n.ID) {
			c.dropLetter(t, o, n.ID, n.Kind)
			if !n.Automatic {
				o.advance(n.RequestID, comesBack(n.Kind))
			}
		}
		o.settled(n.ID)
	}
}

// comesBack is how many letters an outcome brings back.
func comesBack(k deadletter.Kind) int {
	if k == deadletter.Discarded {
		return 0
	}
	return 1
}

func (c *cycle) foldLetter(t *partition, o *order, n deadletter.Record, r broker.Record) {
	switch {
	case o.waits(n.ID), o.seenAs(n.ID) == seenTold:
		return
	case o.saw(n.ID) && o.seenAs(n.ID) != seenOwing:
		c.back(t, o, n.ID)
		return
	}
	came := deadletter.Original(r)
	if e, err := event.FromRecord(came); err == nil {
		o.adopt(came.Topic, e)
	}
	o.park(n.ID, n.Topic, n.RetryAt)
	c.keepLetter(t, o, n.ID, r)
}

// answeredInLog takes over from a fact in the log that its cause is answered. A letter that was answered on request waits for
// the request, which comes again and tells the outcome; otherwise nobody will, and the outcome is told here.
func (c *cycle) answeredInLog(t *partition, o *order, fact broker.Record, cause string) {
	if cause == "" || o.saw(cause) {
		return
	}
	o.answered(cause)
	switch {
	case deadletter.OnRequest(fact):
		o.owes(cause)
	case o.waits(cause):
		c.dropLetter(t, o, cause, deadletter.Redriven)
		c.back(t, o, cause)
	}
}

// back tells of a letter that its event was answered, although nobody asked.
func (c *cycle) back(t *partition, o *order, id string) {
	o.settled(id)
	c.tell(t, o, deadletter.Record{Kind: deadletter.Redriven, ID: id, Reason: "the event was answered already"})
}

// knownNote says whether a record that somebody else appended to the dead-letter topic repeats what this task knows.
func (o *order) knownNote(n deadletter.Record) bool {
	switch n.Kind {
	case deadletter.Letter:
		return o.waits(n.ID) || o.seenAs(n.ID) == seenTold
	case deadletter.Failed:
		at := o.place(n.ID)
		return o.saw(n.RequestID) || n.Automatic && at >= 0 && n.Redrives <= o.parked[at].redrives
	case deadletter.Closed:
		return o.saw(n.RequestID)
	default:
		return o.saw(n.ID) && !o.waits(n.ID)
	}
}

// deadlineIn is the topic named in the letter of a deadline: it came from no log.
const deadlineIn = "deadline"
