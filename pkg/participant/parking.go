package participant

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
)

// park publishes a delivery to the dead-letter topic and remembers that its order waits. cause nil: it waits behind an
// earlier dead letter. A dead letter that fails again stays where it is.
func park(t *partition, o *order, d *delivery, cause error) {
	if d.request != nil {
		failAgain(t, o, d, cause)
		return
	}
	id := d.id()
	if o.Waits(id) || o.Saw(id) {
		finish(t, o, d)
		return
	}
	rec := whyParked(t.c.b.name, o, d, cause)
	// A fold parks what the state of its order lacks, whatever the bound: nothing of that order may go on.
	if !t.Restoring() && t.full(o, rec.RetryAt.IsZero()) {
		stop(t, o)
		return
	}
	o.Park(id, d.topic(), rec.RetryAt)
	if d.in != nil && d.bad == nil {
		o.accept(d)
	}
	letter := deadletter.Park(*d.rec, rec)
	t.enqueue(o, &outbox.Entry{Order: o.ID, ID: id, Record: letter})
	keepLetter(t, o, id, letter)
	o.queue.storing = true
	t.c.watch.parked(d, rec)
	t.release(o)
	finish(t, o, d)
}

// stop stops a partition at the bound of what may be parked, loudly: parking more would hide an outage. It takes
// requests alone until there is room.
func stop(t *partition, o *order) {
	if t.stopped == nil {
		t.c.Logger.Error("partition stopped: too many dead letters; redrive or discard some",
			"partition", t.Number, "order_id", o.ID, "orders_parked", t.forPerson, "letters_of_order", len(o.Parked))
	}
	t.stopped = o
}

// restart lets a stopped partition go on when there is room for the dead letter that stopped it.
func restart(t *partition) {
	if t.stopped == nil || t.full(t.stopped, true) {
		return
	}
	t.c.Logger.Info("partition goes on", "partition", t.Number)
	t.stopped = nil
	for _, o := range t.orders {
		t.resume(o)
	}
}

// failAgain ends a request at a dead letter that cannot be answered this time either. It stays where it is, and all
// behind it.
func failAgain(t *partition, o *order, l *delivery, err error) {
	redrives := 1
	if at := o.Place(l.letter); at >= 0 {
		redrives += o.Parked[at].Redrives
	}
	n := l.request.asks.outcome(deadletter.Record{
		Kind: deadletter.Failed, ID: l.letter,
		Class: classOf(err).String(), Message: err.Error(), Exception: exceptionOf(err),
		LastFailure: time.Now(), Redrives: redrives, RetryAt: retryAt(err, redrives, !o.RetryAt().IsZero()),
	})
	o.FailedAgain(n)
	countLetters(t, o)
	tell(t, o, n)
	closeRequest(t, o, l.request, n.Class, n.Message)
	restart(t) // where it waits for a person no more
}

// closeRequest ends a request; class and message say what stopped it, if anything did. A retry is no request: nobody is
// told, and its id, made from a time that is over, need not be remembered.
func closeRequest(t *partition, o *order, d *delivery, class, message string) {
	o.queue.storing = true
	if !d.asks.automatic {
		n := d.asks.outcome(deadletter.Record{
			Kind: deadletter.Closed, ID: d.asks.Letter, Class: class, Message: message, LastFailure: time.Now(),
			Waiting: len(o.Parked),
		})
		if o.Request == n.RequestID {
			n.Redriven = o.Redriven
		}
		tell(t, o, n)
		o.Answered(n.RequestID)
		t.c.watch.closed(d, n)
	}
	finish(t, o, d)
}

// finish takes a delivery out of its queue; with the next change it counts as applied. A dead letter goes out of its
// chain.
func finish(t *partition, o *order, d *delivery) {
	if d.request != nil {
		takeOut(t, o, d.request.asks, d.letter, d.request.asks.kind(d.letter))
		return
	}
	o.queue.remove(d)
	if d.asks != nil && d.asks.automatic {
		t.retrying--
	}
	delete(t.holds, d)
	t.touch(o)
	if d.in != nil {
		d.entry = o.entry
		t.ready = append(t.ready, d)
	}
}

// takeOut takes a dead letter out of the chain, and tells what became of it after the fact that answers it.
func takeOut(t *partition, o *order, q *redrive, id string, kind deadletter.Kind) {
	dropLetter(t, o, id, kind)
	o.Settled(id)
	if !q.automatic { // how far a person's request has come is told when it is closed
		o.Advance(q.ID, comesBack(kind))
	}
	tell(t, o, q.outcome(deadletter.Record{Kind: kind, ID: id}))
	q.letter = nil
	clear(q.held)
	o.queue.storing = true
	restart(t)
}

// retryLater ends a try that met something unavailable. It is no failure of the dead letter, and nobody who asked waits
// in the queue: the order's place, among those that are retried and in its queue, is better used by others until then.
func retryLater(t *partition, o *order, d *delivery) {
	t.timers.Again(o.ID, time.Now().Add(retryIn(o.Parked[0].Redrives, time.Minute)))
	finish(t, o, d)
}
