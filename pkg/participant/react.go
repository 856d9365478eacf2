package participant

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"google.golang.org/protobuf/proto"
)

// ask puts an event to React, unless the participant does not react to its type.
func (t *partition) ask(o *order, d *delivery) {
	if !t.c.b.subscribed[d.topic()][d.ev.Type] {
		t.nothing(o, d)
		return
	}
	m, err := event.Decode(d.ev)
	if err != nil {
		park(t, o, d, err)
		return
	}
	t.run(o, d, m.Body)
}

// run calls React beside the cycle; the answer joins whichever cycle comes next. body is nil for a local event.
func (t *partition) run(o *order, d *delivery, body proto.Message) {
	if d.in == nil && d.request == nil {
		t.c.watch.event(deadlinesFired, d, "")
	}
	o.queue.running = d
	t.running++
	state := o.state // as it is now
	t.c.pool.Submit(func() func() {
		fact, err := react(t, d, state, body)
		return func() { t.take(o, d, fact, err) }
	})
}

// react is what a worker does.
func react(t *partition, d *delivery, state any, body proto.Message) (fact proto.Message, err error) {
	if err := t.Ctx.Err(); err != nil {
		return nil, err
	}
	ctx, end := t.c.watch.process(t.Ctx, d)
	now := time.Now()
	ctx = WithAttempt(ctx, Attempt{Now: now, Edited: d.edited, Skewed: t.c.cfg.Clock.Err() != nil})
	fact, err = t.c.b.react(ctx, state, event.Message{Event: d.ev, Body: body})
	end(err)
	telemetry.Processed(d.topic(), t.c.b.name, now, err)
	return fact, err
}

// take handles React's answer, by the class of its error if it is one.
func (t *partition) take(o *order, d *delivery, fact proto.Message, err error) {
	t.running--
	if t.Lost() {
		return
	}
	o.queue.running, o.queue.waiting = nil, false
	t.resume(o)
	if err == nil && d.tries > 0 && d.class == fault.Unavailable {
		t.c.wakeOthers()
	}
	switch {
	case err != nil:
	case fact == nil:
		t.nothing(o, d)
		return
	default:
		t.decide(o, d, fact)
		return
	}
	class, now := classOf(err), time.Now()
	if class == fault.Deferred && t.c.cfg.Clock.Err() != nil { // when to try again would be said by a clock that is wrong
		class = fault.Unavailable
	}
	d.add(err, class, now)
	t.c.watch.failed(d, class, err)
	switch class {
	case fault.NotYet:
		if d.request != nil {
			d.request.asks.held[d.topic()] = d
		} else {
			hold(t, o, d)
		}
	case fault.Unavailable:
		if d.request != nil && d.request.asks.automatic {
			retryLater(t, o, d.request)
			break
		}
		o.queue.waiting = true
		t.backOff(o, d.tries)
	case fault.Transient:
		if d.transient >= transientTries || now.Sub(d.since) >= transientFor {
			park(t, o, d, err)
			break
		}
		t.backOff(o, d.transient)
	default:
		park(t, o, d, err)
	}
}

// hold lets an event wait for its cause, and those of its topic behind it.
func hold(t *partition, o *order, d *delivery) {
	if o.queue.held == nil {
		o.queue.held = map[string]bool{}
	}
	o.queue.held[d.topic()] = true
	t.holds[d] = o
}
