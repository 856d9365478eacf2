package participant

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/store"
)

// Headers of a dead letter, named as in KIP-1191 where it has the name. The original key, value and headers are untouched.
const (
	dlqPrefix       = "__dlq."
	dlqRecord       = "__dlq.record" // what a record is: letter
	dlqID           = "__dlq.id"     // names the letter among those of its order
	dlqTopic        = "__dlq.errors.topic"
	dlqPartition    = "__dlq.errors.partition"
	dlqOffset       = "__dlq.errors.offset"
	dlqGroup        = "__dlq.errors.group"
	dlqDeliveries   = "__dlq.errors.delivery.count"
	dlqMessage      = "__dlq.errors.message"
	dlqClass        = "__dlq.errors.class"
	dlqException    = "__dlq.errors.exception"
	dlqFirst        = "__dlq.errors.first.failure"
	dlqLast         = "__dlq.errors.last.failure"
	dlqRedriveCount = "__dlq.errors.redrive.count"
	dlqBehind       = "__dlq.errors.parked.behind"
	recordIsLetter  = "letter"
	maxMessageBytes = 4 << 10
)

// maxLetterBytes is what a dead-letter topic must take: the largest record of any other topic (1 MiB), and the letter's headers.
const maxLetterBytes = 2 << 20

// Bounds of what may be parked. At a bound the partition stops, loudly: parking more would hide an outage.
const (
	maxParkedOrders    = 10_000
	maxLettersPerOrder = 1_000
)

// park publishes a delivery to the dead-letter topic and remembers that its order waits. cause nil: it waits behind an earlier
// letter.
func (c *cycle) park(t *task, o *order, d *delivery, cause error) {
	if len(o.parked) == 0 && len(t.parked) >= maxParkedOrders || len(o.parked) >= maxLettersPerOrder {
		c.stop(t, o)
		return
	}
	id := d.id()
	if slices.Contains(o.parked, id) || o.seen[id] {
		c.done(t, o, d)
		return
	}
	rec := c.letter(o, d, cause, id)
	o.park(id)
	if d.src != nil && d.bad == nil {
		o.moved(d.topic(), d.ev)
	}
	t.enqueue(o, &entry{Order: o.id, ID: id, Record: rec})
	t.keepLetter(o, rec)
	o.lane.settling = true
	c.watch.parked(d, cause)
	c.release(t, o)
	c.done(t, o, d)
}

// stop stops a partition at the bound of what may be parked, loudly: parking more would hide an outage.
func (c *cycle) stop(t *task, o *order) {
	if !t.stopped {
		c.watch.log.Error("partition stopped: too many dead letters; redrive or discard some",
			"partition", t.partition, "order_id", o.id, "orders_parked", len(t.parked), "letters_of_order", len(o.parked))
	}
	t.stopped = true
}

// orderOfRecord is the order a record belongs to: its key, or for a record without one a name of its own, so that it waits alone.
func orderOfRecord(r broker.Record, id string) string {
	if len(r.Key) == 0 {
		return "keyless:" + id
	}
	return string(r.Key)
}

// keepLetter writes a letter to the list of what waits for its order.
func (t *task) keepLetter(o *order, rec broker.Record) {
	body, _ := (&entry{Order: o.id, ID: letterID(rec), Record: rec}).encode() // plain data, cannot fail
	t.parked[o.id] = len(o.parked)
	t.ops = append(t.ops,
		store.Op{Cmd: "RPUSH", Key: "parked:" + o.id, Args: []string{body}},
		store.Op{Cmd: "HSET", Key: "parked", Args: []string{o.id, strconv.Itoa(len(o.parked))}})
}

// letter makes the record of a dead letter.
func (c *cycle) letter(o *order, d *delivery, cause error, id string) broker.Record {
	class, message := "behind", "waits behind an earlier letter of its order"
	exception := ""
	if cause != nil {
		class, message, exception = classOf(cause).String(), cause.Error(), exceptionOf(cause)
	}
	if len(message) > maxMessageBytes {
		message = message[:maxMessageBytes]
	}
	now := time.Now().UTC()
	first := d.failedAt
	if first.IsZero() {
		first = now
	}
	rec := d.rec
	rec.Topic, rec.Offset = c.b.letters, 0
	if rec.Key == nil {
		rec.Key = []byte{} // the broker client refuses records whose key was forgotten
	}
	rec.Headers = slices.Clone(d.rec.Headers)
	add := func(k, v string) { rec.Headers = append(rec.Headers, broker.Header{Key: k, Value: []byte(v)}) }
	add(dlqRecord, recordIsLetter)
	add(dlqID, id)
	add(dlqTopic, d.rec.Topic)
	add(dlqPartition, strconv.Itoa(d.rec.Partition))
	add(dlqOffset, strconv.FormatInt(d.rec.Offset, 10))
	add(dlqGroup, c.b.name)
	add(dlqDeliveries, strconv.Itoa(max(1, d.tries)))
	add(dlqClass, class)
	add(dlqMessage, message)
	if exception != "" {
		add(dlqException, exception)
	}
	add(dlqFirst, first.UTC().Format(time.RFC3339Nano))
	add(dlqLast, now.Format(time.RFC3339Nano))
	add(dlqRedriveCount, "0")
	if len(o.parked) > 0 {
		add(dlqBehind, o.parked[0])
	}
	return rec
}

// letterID is the id of a letter's event among those parked; empty when the record is no letter.
func letterID(r broker.Record) string {
	id := ""
	for _, h := range r.Headers {
		if h.Key == dlqID {
			id = string(h.Value)
		}
	}
	return id
}

// original is a letter's record as it came.
func original(r broker.Record) broker.Record {
	o := r
	o.Headers = nil
	for _, h := range r.Headers {
		switch {
		case h.Key == dlqTopic:
			o.Topic = string(h.Value)
		case h.Key == dlqOffset:
			o.Offset, _ = strconv.ParseInt(string(h.Value), 10, 64)
		case len(h.Key) < len(dlqPrefix) || h.Key[:len(dlqPrefix)] != dlqPrefix:
			o.Headers = append(o.Headers, h)
		}
	}
	return o
}

// exceptionOf is the stack of a panic; other errors say all they know in their message.
func exceptionOf(err error) string {
	var p *panicked
	if !errors.As(err, &p) {
		return ""
	}
	return string(p.stack[:min(len(p.stack), maxMessageBytes)])
}

// foldLetter reads a dead letter back: its order waits, unless the event was answered since.
func (c *cycle) foldLetter(t *task, r broker.Record) {
	id := letterID(r)
	if id == "" {
		c.watch.unreadable(r)
		return
	}
	o := t.orders[orderOfRecord(r, id)]
	for _, e := range t.pending[o.id] {
		if e.ID == id && e.Record.Topic == c.b.letters {
			e.acked, e.offset = true, r.Offset
		}
	}
	if o.seen[id] || slices.Contains(o.parked, id) {
		return
	}
	came := original(r)
	if e, err := event.FromRecord(came); err == nil {
		o.moved(came.Topic, e)
	}
	o.park(id)
	t.keepLetter(o, r)
	t.touch(o)
}
