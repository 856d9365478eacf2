package participant

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
)

// runQueues lets the orders go on that may.
func (t *partition) runQueues() {
	for i := 0; i < len(t.runnable); i++ { // more may join meanwhile
		o := t.runnable[i]
		o.runnable = false
		for q := &o.queue; !q.busy() && q.retryAt.IsZero() && !t.c.Leaving() && !t.Lost(); {
			d := q.next(t.stopped != nil)
			if d == nil {
				break
			}
			t.step(o, d)
		}
	}
	clear(t.runnable)
	t.runnable = t.runnable[:0]
}

// step decides what becomes of one delivery: dropped, parked behind others, folded, answered with nothing, or asked.
func (t *partition) step(o *order, d *delivery) {
	c := t.c
	if d.asks != nil {
		nextRedrive(t, o, d)
		return
	}
	if d.topic() == c.b.requests {
		c.watch.noRequest(d)
		finish(t, o, d)
		return
	}
	if d.bad != nil {
		park(t, o, d, d.bad)
		return
	}
	if d.in == nil { // a deadline
		if o.Saw(d.ev.ID) || len(o.Parked) > 0 {
			finish(t, o, d)
			t.wakeUp(o, time.Now())
			return
		}
		t.run(o, d, nil)
		return
	}
	if !d.judged {
		switch o.judge(d.topic(), d.ev) {
		case chain.Contradicted:
			contradicted(t, o, d)
			return
		case chain.Duplicate:
			o.accept(d)
			c.watch.duplicate(d, o.Waits(d.id()))
			finish(t, o, d)
			return
		case chain.Superseded:
			c.watch.superseded(d)
			finish(t, o, d)
			return
		}
		if d.topic() == c.b.facts && d.ev.Sequence > 0 && !t.foldOwn(o, d) {
			return
		}
		d.judged = true
	}
	if len(o.Parked) > 0 {
		park(t, o, d, nil)
		return
	}
	t.ask(o, d)
}

// foldOwn takes a valid fact of the own topic, met as input: one that this task decided is only marked consumed; one
// that admission published evolves the state once and goes on to React (true); one that contradicts what was decided
// means that the log knows better.
func (t *partition) foldOwn(o *order, d *delivery) bool {
	e := d.ev
	switch {
	case e.Sequence <= o.Own().Sequence:
		if other := t.outbox.Undelivered(o.ID, e.Sequence); other != nil && other.Contradicts(e) {
			t.c.Lose(t, "contradicted")
			return false
		}
	case o.behindUnfolded(e):
		return true // to be parked behind it
	case o.Own().Precedes(orders.LinkOf(e)):
		if err := t.evolve(o, d); err != nil {
			park(t, o, d, err)
			return false
		}
	default: // what leads to it was superseded, so it is too
		t.c.watch.superseded(d)
		finish(t, o, d)
		return false
	}
	if e.CausationID != "" {
		o.accept(d)
		o.Answered(e.ID)
		finish(t, o, d)
		return false
	}
	return true
}
