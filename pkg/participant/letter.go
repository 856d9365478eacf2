package participant

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Bounds of what may be parked. At a bound the partition stops, loudly: parking more would hide an outage.
const (
	maxParkedOrders    = 10_000
	maxLettersPerOrder = 1_000
)

// park publishes a delivery to the dead-letter topic and remembers that its order waits. cause nil: it waits behind an
// earlier letter. A letter that fails again stays where it is.
func (c *cycle) park(t *partition, o *order, d *delivery, cause error) {
	if d.request != nil {
		c.failed(t, o, d, cause)
		return
	}
	id := d.id()
	if o.Waits(id) || o.Saw(id) {
		c.done(t, o, d)
		return
	}
	rec := c.letter(o, d, cause, id)
	if t.full(o, rec.RetryAt.IsZero()) {
		c.stop(t, o)
		return
	}
	o.Park(id, d.topic(), rec.RetryAt)
	if d.src != nil && d.bad == nil {
		o.moved(d)
	}
	letter := deadletter.Park(*d.rec, rec)
	t.enqueue(o, &outbox.Entry{Order: o.ID, ID: id, Record: letter})
	c.keepLetter(t, o, id, letter)
	o.lane.settling = true
	c.watch.parked(d, rec)
	c.release(t, o)
	c.done(t, o, d)
}

// full says that another letter of the order would pass a bound: of its chain, or of the orders that wait for a
// person, as this would.
func (t *partition) full(o *order, forPerson bool) bool {
	return len(o.Parked) == 0 && forPerson && t.forPerson >= maxParkedOrders || len(o.Parked) >= maxLettersPerOrder
}

// stop stops a partition at the bound of what may be parked, loudly: parking more would hide an outage. It hears
// requests alone until there is room.
func (c *cycle) stop(t *partition, o *order) {
	if t.stopped == nil {
		c.watch.log.Error("partition stopped: too many dead letters; redrive or discard some",
			"partition", t.Number, "order_id", o.ID, "orders_parked", t.forPerson, "letters_of_order", len(o.Parked))
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
	t.ops = append(t.ops, taskstore.Op{Cmd: "HSET", Key: "parked:" + o.ID, Args: []string{id, string(body)}})
	c.countLetters(t, o)
}

// dropLetter takes a letter out of those that wait.
func (c *cycle) dropLetter(t *partition, o *order, id string, kind deadletter.Kind) {
	o.Unpark(id, kind)
	t.ops = append(t.ops, taskstore.Op{Cmd: "HDEL", Key: "parked:" + o.ID, Args: []string{id}})
	c.countLetters(t, o)
	if t.Restoring() && len(o.Parked) == 0 {
		o.ForgetAdopted() // what came later was answered, and may have left no trace
	}
}

// countLetters takes over how many letters of an order wait, and for what.
func (c *cycle) countLetters(t *partition, o *order) {
	op := taskstore.Op{Cmd: "HSET", Key: "parked", Args: []string{o.ID, strconv.Itoa(len(o.Parked))}}
	if len(o.Parked) > 0 {
		t.waits(o.ID, o.RetryAt.IsZero())
	} else {
		t.waits(o.ID, false)
		delete(t.parked, o.ID)
		op = taskstore.Op{Cmd: "HDEL", Key: "parked", Args: []string{o.ID}}
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
	o.FailedAgain(n)
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
	if len(o.Parked) > 0 {
		rec.Behind = o.Parked[0].ID
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

// noteID names an entry of the outbox that goes to the dead-letter topic, so that the record can be known there.
// Whatever brought a letter back is the same: it is back.
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
	n.Order, n.Group = o.ID, c.b.name
	t.enqueue(o, &outbox.Entry{Order: o.ID, ID: noteID(n), Record: deadletter.Tell(n, t.Number, time.Now().UTC())})
}

// foldNote reads a record of the dead-letter topic back: a letter waits unless its event was answered or discarded
// since.
func (c *cycle) foldNote(t *partition, r broker.Record) {
	n, err := deadletter.Parse(r)
	if err != nil {
		c.watch.unreadable(r)
		return
	}
	o := t.orders[n.Order]
	for _, e := range t.outbox.OfOrder(o.ID) {
		if e.ID == noteID(n) && e.Record.Topic == c.b.letters {
			e.Acked, e.Offset = true, r.Offset
		}
	}
	t.touch(o)
	switch n.Kind {
	case deadletter.Letter:
		c.foldLetter(t, o, n, r)
	case deadletter.Failed:
		if o.Waits(n.ID) {
			c.failedAgain(t, o, n)
		}
	case deadletter.Closed:
		o.Answered(n.RequestID)
	default:
		if o.Waits(n.ID) {
			c.dropLetter(t, o, n.ID, n.Kind)
			if !n.Automatic {
				o.Advance(n.RequestID, comesBack(n.Kind))
			}
		}
		o.Settled(n.ID)
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
	case o.Waits(n.ID), o.SeenAs(n.ID) == orders.SeenTold:
		return
	case o.Saw(n.ID) && o.SeenAs(n.ID) != orders.SeenOwing:
		c.back(t, o, n.ID)
		return
	}
	came := deadletter.Original(r)
	if e, err := event.FromRecord(came); err == nil {
		o.Adopt(came.Topic, e)
	}
	o.Park(n.ID, n.Topic, n.RetryAt)
	c.keepLetter(t, o, n.ID, r)
}

// answeredInLog takes over from a fact in the log that its cause is answered. A letter that was answered on request
// waits for the request, which comes again and tells the outcome; otherwise nobody will, and the outcome is told here.
func (c *cycle) answeredInLog(t *partition, o *order, fact broker.Record, cause string) {
	if cause == "" || o.Saw(cause) {
		return
	}
	o.Answered(cause)
	switch {
	case deadletter.OnRequest(fact):
		o.Owes(cause)
	case o.Waits(cause):
		c.dropLetter(t, o, cause, deadletter.Redriven)
		c.back(t, o, cause)
	}
}

// back tells of a letter that its event was answered, although nobody asked.
func (c *cycle) back(t *partition, o *order, id string) {
	o.Settled(id)
	c.tell(t, o, deadletter.Record{Kind: deadletter.Redriven, ID: id, Reason: "the event was answered already"})
}

// knownNote says whether a record that somebody else appended to the dead-letter topic repeats what this task knows.
func (o *order) knownNote(n deadletter.Record) bool {
	switch n.Kind {
	case deadletter.Letter:
		return o.Waits(n.ID) || o.SeenAs(n.ID) == orders.SeenTold
	case deadletter.Failed:
		at := o.Place(n.ID)
		return o.Saw(n.RequestID) || n.Automatic && at >= 0 && n.Redrives <= o.Parked[at].Redrives
	case deadletter.Closed:
		return o.Saw(n.RequestID)
	default:
		return o.Saw(n.ID) && !o.Waits(n.ID)
	}
}

// deadlineIn is the topic named in the letter of a deadline: it came from no log.
const deadlineIn = "deadline"
