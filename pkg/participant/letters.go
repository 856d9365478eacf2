package participant

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Bounds of what may be parked. At a bound the partition stops, loudly: parking more would hide an outage.
const (
	maxParkedOrders    = 10_000 // that wait for a person
	maxLettersPerOrder = 1_000
)

// full says that another dead letter of the order would pass a bound: of its chain, or of the orders that wait for a
// person, as this would.
func (t *partition) full(o *order, forPerson bool) bool {
	return len(o.Parked) == 0 && forPerson && t.forPerson >= maxParkedOrders || len(o.Parked) >= maxLettersPerOrder
}

// waits remembers that an order has dead letters, and whether they wait for a person.
func (t *partition) waits(orderID string, forPerson bool) {
	if t.parked[orderID] {
		t.forPerson--
	}
	if forPerson {
		t.forPerson++
	}
	t.parked[orderID] = forPerson
}

// whyParked says why a delivery is parked.
func whyParked(group string, o *order, d *delivery, cause error) deadletter.Record {
	now := time.Now()
	rec := deadletter.Record{
		ID: d.id(), Group: group, Class: "behind", Message: "waits behind an earlier letter of its order",
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

// keepLetter writes a dead letter to those that wait for its order.
func keepLetter(t *partition, o *order, id string, rec broker.Record) {
	body, _ := json.Marshal(rec) // plain data, cannot fail
	t.ops = append(t.ops, taskstore.Op{Cmd: "HSET", Key: "parked:" + o.ID, Args: []string{id, string(body)}})
	countLetters(t, o)
}

// dropLetter takes a dead letter out of those that wait.
func dropLetter(t *partition, o *order, id string, kind deadletter.Kind) {
	o.Unpark(id, kind)
	t.ops = append(t.ops, taskstore.Op{Cmd: "HDEL", Key: "parked:" + o.ID, Args: []string{id}})
	countLetters(t, o)
	if t.Restoring() && len(o.Parked) == 0 {
		o.ForgetAdopted() // what came later was answered, and may have left no trace
	}
}

// countLetters takes over how many dead letters of an order wait, and for what.
func countLetters(t *partition, o *order) {
	op := taskstore.Op{Cmd: "HSET", Key: "parked", Args: []string{o.ID, strconv.Itoa(len(o.Parked))}}
	t.waits(o.ID, len(o.Parked) > 0 && o.RetryAt().IsZero())
	if len(o.Parked) == 0 {
		delete(t.parked, o.ID)
		op = taskstore.Op{Cmd: "HDEL", Key: "parked", Args: []string{o.ID}}
	}
	t.ops = append(t.ops, op)
	t.arm(o)
	t.touch(o)
}

// tell publishes what became of a dead letter or of a request.
func tell(t *partition, o *order, n deadletter.Record) {
	n.Order, n.Group = o.ID, t.c.b.name
	t.enqueue(o, &outbox.Entry{Order: o.ID, ID: n.Name(), Record: deadletter.Tell(n, t.Number, time.Now().UTC())})
}

// answeredInLog takes over from a fact in the log that its cause is answered. A dead letter that was answered on
// request waits for the request, which comes again and tells the outcome; otherwise nobody will, and it is told here.
func answeredInLog(t *partition, o *order, fact broker.Record, cause string) {
	if cause == "" || o.Saw(cause) {
		return
	}
	o.Answered(cause)
	switch {
	case deadletter.OnRequest(fact):
		o.Owes(cause)
	case o.Waits(cause):
		dropLetter(t, o, cause, deadletter.Redriven)
		tellBack(t, o, cause)
	}
}

// tellBack tells of a dead letter that its event was answered, although nobody asked.
func tellBack(t *partition, o *order, id string) {
	o.Settled(id)
	tell(t, o, deadletter.Record{Kind: deadletter.Redriven, ID: id, Reason: "the event was answered already"})
}

// outcome adds who asked, and why.
func (q *redrive) outcome(n deadletter.Record) deadletter.Record {
	n.RequestID, n.By, n.Reason, n.Automatic = q.ID, q.By, q.Reason, q.automatic
	return n
}

// kind of a dead letter's outcome when it comes back.
func (q *redrive) kind(letter string) deadletter.Kind {
	if q.Action == deadletter.Edit && q.Letter == letter {
		return deadletter.Edited
	}
	return deadletter.Redriven
}

// comesBack is how many dead letters an outcome brings back.
func comesBack(k deadletter.Kind) int {
	if k == deadletter.Discarded {
		return 0
	}
	return 1
}

// knownNote says whether a record that somebody else appended to the dead-letter topic repeats what this task knows.
func (o *order) knownNote(n deadletter.Record) bool {
	switch n.Kind {
	case deadletter.Letter:
		return o.Waits(n.ID) || o.SeenAs(n.ID) == orders.Told
	case deadletter.Failed:
		at := o.Place(n.ID)
		return o.Saw(n.RequestID) || n.Automatic && at >= 0 && n.Redrives <= o.Parked[at].Redrives
	case deadletter.Closed:
		return o.Saw(n.RequestID)
	default:
		return o.Saw(n.ID) && !o.Waits(n.ID)
	}
}
