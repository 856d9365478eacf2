package participant

import (
	"fmt"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/wait"
	"go.opentelemetry.io/otel/trace"
)

// Limits of the retry of transient errors.
const (
	transientTries = 10
	transientFor   = 2 * time.Minute
)

// delivery is one event on its way through a task.
type delivery struct {
	src      *source // nil for a deadline, a letter that is redriven, and a retry
	rec      *broker.Record
	ev       event.Event
	bad      error // the envelope could not be read
	order    string
	of       *order // the same, once it is in memory
	judged   bool   // found valid by the chain table, and folded when it is a fact of the own topic
	ready    bool   // the next change applies it
	slot     int    // its number in the window of its source
	entry    int64  // highest outbox number that must be settled before this offset may be committed
	tries    int
	failed   error
	span     trace.SpanContext // of the last attempt; not valid where its hop's goes on
	failedAt time.Time         // of the first failure
	heldAt   time.Time         // since when it waits for its cause; zero when it does not

	asks    *redriving         // of a request that can be read
	request *delivery          // that a letter is redriven for; nil for what came in itself
	letter  string             // the letter's id
	edited  bool               // an operator replaced its payload
	refers  *deadletter.Record // of a letter whose event is still to be read from its topic
}

// id identifies a delivery among those seen and parked: the event's id, or where it lies when that cannot be read.
func (d *delivery) id() string {
	if d.ev.ID != "" && d.bad == nil {
		return d.ev.ID
	}
	return fmt.Sprintf("%s/%d@%d", d.rec.Topic, d.rec.Partition, d.rec.Offset)
}

func (d *delivery) topic() string { return d.rec.Topic }

// lane is the order's queue: events of one order one at a time. A held event holds back its own source only.
type lane struct {
	queue    []*delivery // in order of arrival; per source in log order
	running  *delivery
	settling bool            // an answer waits for its apply: what follows must rest on it
	reading  bool            // its chain, or the event of a letter, is read back: chain.go, reference.go
	held     map[string]bool // topics; nil: none
	retryAt  time.Time       // zero: not waiting
	waiting  bool            // for something unavailable
}

// busy says that the lane's first delivery is being decided.
func (l *lane) busy() bool { return l.running != nil || l.settling || l.reading }

func (l *lane) empty() bool { return len(l.queue) == 0 && !l.busy() }

// next returns the first delivery that is not behind a held one of its source; of a stopped partition, the first
// request.
func (l *lane) next(stopped bool) *delivery {
	for _, d := range l.queue {
		if !l.held[d.topic()] && (!stopped || d.asks != nil) {
			return d
		}
	}
	return nil
}

// wait lets the lane rest until a delivery may be tried again.
func (l *lane) wait(t *partition, o *order, d *delivery) {
	l.retryAt = time.Now().Add(wait.Backoff(d.tries))
	t.retries[o] = l.retryAt
}

func (l *lane) remove(d *delivery) {
	if i := slices.Index(l.queue, d); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
}

// pump starts what the order's lane may do now.
func (c *cycle) pump(t *partition, o *order) {
	l := &o.lane
	for !l.busy() && l.retryAt.IsZero() && !c.Leaving() && !t.Lost() {
		d := l.next(t.stopped != nil)
		if d == nil {
			return
		}
		c.step(t, o, d)
	}
}

// step decides what becomes of one delivery: dropped, parked behind others, folded, answered with nothing, or asked.
func (c *cycle) step(t *partition, o *order, d *delivery) {
	if d.asks != nil {
		c.redrive(t, o, d)
		return
	}
	if d.topic() == c.b.requests {
		c.watch.noRequest(d)
		c.done(t, o, d)
		return
	}
	if d.bad != nil {
		c.park(t, o, d, d.bad)
		return
	}
	if d.src == nil { // a deadline
		if o.Saw(d.ev.ID) || len(o.Parked) > 0 {
			c.done(t, o, d)
			c.wakeUp(t, o, time.Now())
			return
		}
		c.run(t, o, d, nil)
		return
	}
	if !d.judged {
		switch o.judge(d.topic(), d.ev) {
		case chain.Contradicted:
			c.contradicted(t, o, d)
			return
		case chain.Duplicate:
			o.moved(d)
			c.watch.duplicate(o, d)
			c.done(t, o, d)
			return
		case chain.Superseded:
			c.watch.void(d)
			c.done(t, o, d)
			return
		}
		if d.topic() == c.b.facts && d.ev.Sequence > 0 && !c.foldOwn(t, o, d) {
			return
		}
		d.judged = true
	}
	if len(o.Parked) > 0 {
		c.park(t, o, d, nil)
		return
	}
	c.ask(t, o, d)
}

// ask puts an event to React, unless the participant does not react to its type.
func (c *cycle) ask(t *partition, o *order, d *delivery) {
	if !c.b.hears[d.topic()][d.ev.Type] {
		c.nothing(t, o, d)
		return
	}
	m, err := event.Decode(d.ev)
	if err != nil {
		c.park(t, o, d, err)
		return
	}
	c.run(t, o, d, m.Body)
}

// foldOwn takes a valid fact of the own topic, met as input: one that this task decided is only marked consumed; one
// of the door evolves the state once and goes on to React (true); one that contradicts what was decided means that the
// log knows better.
func (c *cycle) foldOwn(t *partition, o *order, d *delivery) bool {
	e := d.ev
	switch {
	case e.Sequence <= o.Own.Sequence:
		if other := t.outbox.Undelivered(o.ID, e.Sequence); other != nil && other.Contradicts(e) {
			c.Lose(t, "contradicted")
			return false
		}
	case o.Own.Precedes(orders.LinkOf(e)):
		if err := c.evolve(t, o, d); err != nil {
			c.park(t, o, d, err)
			return false
		}
	default: // what leads to it was void, so it is void too
		c.watch.void(d)
		c.done(t, o, d)
		return false
	}
	if e.CausationID != "" {
		o.moved(d)
		o.Answered(e.ID)
		c.done(t, o, d)
		return false
	}
	return true
}

// evolve folds the next fact of the own topic into the state of its order.
func (c *cycle) evolve(t *partition, o *order, d *delivery) error {
	m, err := event.Decode(d.ev)
	if err != nil {
		c.watch.event(eventsUndecodable, d, "")
		m = event.Message{Event: d.ev}
	}
	if err := o.evolve(c.b, m, d.rec.Offset); err != nil {
		return err
	}
	t.arm(c.b, o)
	t.evolved = true
	c.answeredInLog(t, o, *d.rec, d.ev.CausationID)
	t.touch(o)
	c.release(t, o)
	return nil
}
