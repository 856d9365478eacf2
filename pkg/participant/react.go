package participant

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"google.golang.org/protobuf/proto"
)

// job is one event for React.
type job struct {
	t     *partition
	o     *order
	d     *delivery
	state any           // of the order, when it was asked
	body  proto.Message // of the event; nil: it has none, or is local
}

// result is what React said to a delivery.
type result struct {
	t    *partition
	o    *order
	d    *delivery
	fact proto.Message
	err  error
}

type reactFunc func(ctx context.Context, state any, m event.Message) (proto.Message, error)

// reactUntyped calls React, turning a panic into an error that parks the event.
func (b Behavior[S]) reactUntyped(ctx context.Context, state any, m event.Message) (fact proto.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			fact, err = nil, &panicked{value: r, stack: debug.Stack()}
		}
	}()
	return b.React(ctx, state.(S), m)
}

// panicked is a React that panicked. It is parked at once.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// classOf is fault.ClassOf with the two classes that only the cycle knows: a panic is permanent, and an attempt whose
// context ended (the instance leaves) is unavailable.
func classOf(err error) fault.Class {
	var p *panicked
	if errors.As(err, &p) {
		return fault.Permanent
	}
	if errors.Is(err, context.Canceled) {
		return fault.Unavailable
	}
	return fault.ClassOf(err)
}

// run asks React beside the cycle; the answer joins whichever cycle comes next.
func (c *cycle) run(t *partition, o *order, d *delivery, body proto.Message) {
	if d.src == nil && d.request == nil {
		c.watch.event(deadlinesFired, d, "")
	}
	o.lane.running = d
	t.running++
	c.pool.Submit(job{t: t, o: o, d: d, state: o.state, body: body})
}

// react is what the workers do with a job.
func (c *cycle) react(j job) result {
	a := result{t: j.t, o: j.o, d: j.d, err: j.t.Ctx.Err()}
	if a.err == nil {
		ctx, end := c.watch.process(j.t.Ctx, j.d)
		now := time.Now()
		attempted := &attempt{Context: ctx, now: now, edited: j.d.edited, skewed: c.cfg.Clock.Err() != nil}
		a.fact, a.err = c.b.react(attempted, j.state, event.Message{Event: j.d.ev, Body: j.body})
		end(a.err)
		telemetry.Processed(j.d.topic(), c.b.name, now, a.err)
	}
	return a
}
