package participant

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/task"
)

// nextRedrive takes the next step of a request. What was done of it before a crash is known from the store, or from the
// log.
func nextRedrive(t *partition, o *order, d *delivery) {
	q, at := d.asks, o.Place(d.asks.Letter)
	begun := o.Request == q.ID
	switch {
	case q.automatic && (len(o.Parked) == 0 || retryID(o.ID, o.RetryAt()) != q.ID): // a person was faster
		finish(t, o, d)
	case q.automatic:
		runChain(t, o, d)
	case o.Saw(q.ID):
		t.c.watch.duplicate(d, false)
		finish(t, o, d)
	case begun && (len(o.Parked) == 0 || q.Action == deadletter.Discard):
		closeRequest(t, o, d, "", "")
	case len(o.Parked) == 0:
		closeRequest(t, o, d, fault.NotFound.String(), "nothing of this order waits")
	case q.Action == deadletter.Discard && at < 0:
		closeRequest(t, o, d, fault.NotFound.String(), "the letter does not wait")
	case q.Action == deadletter.Discard: // wherever it stands
		kind := deadletter.Discarded
		if o.Saw(q.Letter) {
			kind = deadletter.Redriven
		}
		takeOut(t, o, q, q.Letter, kind)
		closeRequest(t, o, d, "", "")
	case q.Letter != "" && at != 0 && !begun:
		closeRequest(t, o, d, fault.Conflict.String(), "the letter is not the head of the chain")
	default:
		runChain(t, o, d)
	}
}

// runChain decides the first dead letter that is not behind one of its topic that is not ready.
func runChain(t *partition, o *order, d *delivery) {
	q := d.asks
	i := slices.IndexFunc(o.Parked, func(l orders.Letter) bool { return q.held[l.Topic] == nil })
	if i < 0 {
		head := q.held[o.Parked[0].Topic]
		failAgain(t, o, head, head.failed)
		return
	}
	id := o.Parked[i].ID
	if o.Saw(id) { // only its outcome is missing
		takeOut(t, o, q, id, q.kind(id))
		return
	}
	if q.letter == nil || q.letter.letter != id {
		l, err := openLetter(t, o, d, id)
		if err != nil {
			cannotOpen(t, o, d, err)
			return
		}
		q.letter = l
	}
	if q.letter.refers != nil {
		readOriginal(t, o, q.letter)
		return
	}
	decideLetter(t, o, q.letter)
}

// openLetter reads a dead letter from the store.
func openLetter(t *partition, o *order, d *delivery, id string) (*delivery, error) {
	ctx, cancel := context.WithTimeout(t.Ctx, task.StoreTimeout)
	defer cancel()
	body, err := t.c.Store.Field(ctx, t.c.Store.Key(t.Number, "parked:"+o.ID), id)
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

// cannotOpen lets the queue wait for the store; one that lost a dead letter is folded again.
func cannotOpen(t *partition, o *order, d *delivery, err error) {
	switch {
	case fault.ClassOf(err) != fault.Unavailable:
		t.c.Logger.Error("a letter cannot be read", "partition", t.Number, "error", err)
		t.c.LoseStored(t, "unreadable")
		return
	case d.asks.automatic:
		retryLater(t, o, d)
	default:
		d.tries++
		o.queue.waiting = true
		t.backOff(o, d.tries)
	}
	t.c.StoreDown(err)
}

// decideLetter decides a dead letter as any event, except that its place in the chain was judged when it was parked.
func decideLetter(t *partition, o *order, l *delivery) {
	if l.bad != nil {
		failAgain(t, o, l, l.bad)
		return
	}
	if l.topic() == deadlineTopic {
		at, ok := t.c.b.deadline(o.state)
		switch {
		case l.edited:
			failAgain(t, o, l, fault.New(fault.Invalid, "a deadline has no payload to edit"))
		case !ok || deadlineID(o.ID, at) != l.ev.ID:
			t.nothing(o, l)
		default:
			t.run(o, l, nil)
		}
		return
	}
	// A fact that Evolve could not take is parked without being folded.
	if l.topic() == t.c.b.facts && l.ev.Sequence > o.Own().Sequence && o.Own().Precedes(orders.LinkOf(l.ev)) {
		if l.edited {
			failAgain(t, o, l, fault.New(fault.Invalid, "a fact is in the log as it is: the fold would not know the edited one"))
			return
		}
		if err := t.evolve(o, l); err != nil {
			failAgain(t, o, l, err)
			return
		}
	}
	t.ask(o, l)
}
