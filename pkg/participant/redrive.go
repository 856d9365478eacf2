package participant

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/task"
)

// redriving is a request under way. It stays at the head of its order's lane until it is closed, and takes its next
// step when what the last one did is in the store.
type redriving struct {
	deadletter.Request
	automatic bool                 // the participant's own, in no log: see retry.go
	letter    *delivery            // in work; kept while the lane waits
	held      map[string]*delivery // per topic the letter that is not ready: those of its topic wait behind it
}

// redrive takes the next step of a request. What was done of it before a crash is known from the store, or from the
// log.
func (c *cycle) redrive(t *partition, o *order, d *delivery) {
	q, at := d.asks, o.Place(d.asks.Letter)
	begun := o.Asked.ID == q.ID
	switch {
	case d.asks.automatic && (len(o.Parked) == 0 || retryID(o.ID, o.RetryAt) != q.ID): // a person was faster
		c.done(t, o, d)
	case d.asks.automatic:
		c.runChain(t, o, d)
	case o.Saw(q.ID):
		c.watch.duplicate(o, d)
		c.done(t, o, d)
	case begun && (len(o.Parked) == 0 || q.Action == deadletter.Discard):
		c.closed(t, o, d, "", "")
	case len(o.Parked) == 0:
		c.closed(t, o, d, fault.NotFound.String(), "nothing of this order waits")
	case q.Action == deadletter.Discard && at < 0:
		c.closed(t, o, d, fault.NotFound.String(), "the letter does not wait")
	case q.Action == deadletter.Discard:
		c.discard(t, o, d)
	case q.Letter != "" && at != 0 && !begun:
		c.closed(t, o, d, fault.Conflict.String(), "the letter is not the head of the chain")
	default:
		c.runChain(t, o, d)
	}
}

// discard takes a letter out, wherever it stands.
func (c *cycle) discard(t *partition, o *order, d *delivery) {
	kind := deadletter.Discarded
	if o.Saw(d.asks.Letter) {
		kind = deadletter.Redriven
	}
	c.settle(t, o, d, d.asks.Letter, kind)
	c.closed(t, o, d, "", "")
}

// runChain decides the first letter that is not behind one of its topic that is not ready.
func (c *cycle) runChain(t *partition, o *order, d *delivery) {
	q := d.asks
	i := slices.IndexFunc(o.Parked, func(l orders.Letter) bool { return q.held[l.Topic] == nil })
	if i < 0 {
		head := q.held[o.Parked[0].Topic]
		c.failed(t, o, head, head.failed)
		return
	}
	id := o.Parked[i].ID
	if o.Saw(id) { // only its outcome is missing
		c.settle(t, o, d, id, q.kind(id))
		return
	}
	if q.letter == nil || q.letter.letter != id {
		l, err := c.openLetter(t, o, d, id)
		if err != nil {
			c.cannotOpen(t, o, d, err)
			return
		}
		q.letter = l
	}
	if q.letter.refers != nil {
		c.readOriginal(t, o, q.letter)
		return
	}
	c.decideLetter(t, o, q.letter)
}

// kind of a letter's outcome when it comes back.
func (q *redriving) kind(letter string) deadletter.Kind {
	if q.Action == deadletter.Edit && q.Letter == letter {
		return deadletter.Edited
	}
	return deadletter.Redriven
}

// openLetter reads a letter from the store.
func (c *cycle) openLetter(t *partition, o *order, d *delivery, id string) (*delivery, error) {
	ctx, cancel := context.WithTimeout(t.Ctx, task.StoreTimeout)
	defer cancel()
	body, err := c.Store.Field(ctx, c.Store.Key(t.Number, "parked:"+o.ID), id)
	if err != nil {
		return nil, err
	}
	var rec broker.Record
	err = json.Unmarshal([]byte(body), &rec)
	if err == nil && !rec.Headers.Valid() {
		err = errors.New("its headers are cut short")
	}
	if err != nil {
		return nil, fault.New(fault.Permanent, "redis does not hold the letter %s of order %s: %w", id, o.ID, err)
	}
	came := deadletter.Original(rec)
	l := &delivery{rec: &came, order: o.ID, request: d, letter: id, edited: d.asks.kind(id) == deadletter.Edited}
	if l.edited {
		came.Value = d.asks.Payload
	} else if n, err := deadletter.Parse(rec); err == nil && n.Reference != "" {
		l.refers = &n
	}
	l.ev, l.bad = event.FromRecord(came)
	return l, nil
}

// cannotOpen lets the lane wait for the store; one that lost a letter is folded again.
func (c *cycle) cannotOpen(t *partition, o *order, d *delivery, err error) {
	if fault.ClassOf(err) == fault.Unavailable {
		c.StoreDown(err)
		if d.asks.automatic {
			c.retryLater(t, o, d)
			return
		}
		d.tries++
		o.lane.waiting = true
		o.lane.wait(t, o, d)
		return
	}
	c.watch.log.Error("a letter cannot be read", "partition", t.Number, "error", err)
	c.LoseStored(t, "unreadable")
}

// decideLetter decides a letter as any event, except that its place in the chain was judged when it was parked.
func (c *cycle) decideLetter(t *partition, o *order, l *delivery) {
	if l.bad != nil {
		c.failed(t, o, l, l.bad)
		return
	}
	if l.topic() == deadlineIn {
		at, ok := c.b.deadline(o.state)
		switch {
		case l.edited:
			c.failed(t, o, l, fault.New(fault.Invalid, "a deadline has no payload to edit"))
		case !ok || deadlineID(o.ID, at) != l.ev.ID:
			c.nothing(t, o, l)
		default:
			c.run(t, o, l, nil)
		}
		return
	}
	// A fact of the door that Evolve refused is parked without being folded.
	if l.topic() == c.b.facts && l.ev.Sequence > o.Own.Sequence && o.Own.Precedes(orders.LinkOf(l.ev)) {
		if err := c.evolve(t, o, l); err != nil {
			c.failed(t, o, l, err)
			return
		}
	}
	c.ask(t, o, l)
}

// settle takes a letter out of the chain, and tells what became of it after the fact that answers it.
func (c *cycle) settle(t *partition, o *order, d *delivery, id string, kind deadletter.Kind) {
	q := d.asks
	c.dropLetter(t, o, id, kind)
	o.Settled(id)
	if !q.automatic { // how far a person's request has come is told when it is closed
		o.Advance(q.ID, comesBack(kind))
	}
	c.tell(t, o, q.note(deadletter.Record{Kind: kind, ID: id}))
	q.letter = nil
	clear(q.held)
	o.lane.settling = true
	c.restart(t)
}

// failed ends a request at a letter that cannot be answered this time either. It stays where it is, and all behind it.
func (c *cycle) failed(t *partition, o *order, l *delivery, err error) {
	redrives := o.Parked[o.Place(l.letter)].Redrives + 1
	n := l.request.asks.note(deadletter.Record{
		Kind: deadletter.Failed, ID: l.letter, Class: classOf(err).String(), Message: err.Error(), Exception: exceptionOf(err),
		LastFailure: time.Now(), Redrives: redrives, RetryAt: retryAt(err, redrives, !o.RetryAt.IsZero()),
	})
	c.failedAgain(t, o, n)
	c.tell(t, o, n)
	c.closed(t, o, l.request, n.Class, n.Message)
	c.restart(t) // where it waits for a person no more
}

// closed ends a request; class and message say what stopped it, if anything did. A retry is no request: nobody is
// told, and its id, made from a time that is over, need not be remembered.
func (c *cycle) closed(t *partition, o *order, d *delivery, class, message string) {
	if d.asks.automatic {
		o.lane.settling = true
		c.done(t, o, d)
		return
	}
	n := d.asks.note(deadletter.Record{
		Kind: deadletter.Closed, ID: d.asks.Letter, Class: class, Message: message, LastFailure: time.Now(), Waiting: len(o.Parked),
	})
	if o.Asked.ID == n.RequestID {
		n.Redriven = o.Asked.Redriven
	}
	c.tell(t, o, n)
	o.Answered(n.RequestID)
	o.lane.settling = true
	c.watch.closed(d, n)
	c.done(t, o, d)
}

// note adds who asked, and why.
func (q *redriving) note(n deadletter.Record) deadletter.Record {
	n.RequestID, n.By, n.Reason, n.Automatic = q.ID, q.By, q.Reason, q.automatic
	return n
}
