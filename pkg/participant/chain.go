package participant

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Bounds of the readings of chains: they go on beside the cycle, and must not take the broker or the memory from it.
const (
	maxReadings  = 2 // under way at once, of all logs of the instance
	readingBytes = 1 << 20
)

// reading is one pass through a log from its start, for all orders of which a fact contradicted an adopted head when
// it began. Each of their queues waits for it.
type reading struct {
	t     *partition
	src   *source
	waits map[string]*delivery // by order: its chain is read up to this fact
	heads map[string]chain.Head
	whole bool // the log holds all that was ever in it
	err   error
}

// contradicted lets an order wait until its chain is read back: which of the two facts is the right one cannot be
// known otherwise.
func contradicted(t *partition, o *order, d *delivery) {
	o.queue.reading = true
	s := t.source(d.topic())
	if s.toRead == nil {
		s.toRead = map[string]*delivery{}
	}
	s.toRead[o.ID] = d
}

// readChains begins what readings may begin: those of one log after each other, so that all that comes meanwhile
// shares the next.
func (c *cycle) readChains() {
	for i := range c.Tasks() {
		t := c.Tasks()[(c.turn+i)%len(c.Tasks())]
		for _, s := range t.sources {
			if t.Lost() || s.reading || len(s.toRead) == 0 || c.readings == maxReadings {
				continue
			}
			r := &reading{t: t, src: s, waits: s.toRead}
			s.reading, s.toRead = true, nil
			c.readings++
			c.Go(func() {
				r.heads, r.whole, r.err = readBack(r.t.Ctx, c.cfg.Log, s.TopicPartition, r.waits)
				c.Post(func() { c.hasRead(r) })
			})
		}
	}
}

// readBack finds the heads of some orders' chains as they are in a log before the facts that wait. whole: nothing has
// left the log yet.
func readBack(
	ctx context.Context, log broker.Log, tp broker.TopicPartition, waits map[string]*delivery,
) (heads map[string]chain.Head, whole bool, err error) {
	starts, err := log.Starts(ctx, []broker.TopicPartition{tp})
	if err != nil {
		return nil, false, err
	}
	end := int64(0)
	for _, d := range waits {
		end = max(end, d.rec.Offset)
	}
	heads = map[string]chain.Head{}
	for at := starts[tp]; at < end; {
		got, err := log.Fetch(ctx, []broker.Position{{TopicPartition: tp, Offset: at, MaxBytes: readingBytes}})
		if err != nil {
			return nil, false, err
		}
		if len(got) != 1 || got[0].Err != nil || got[0].Next == at {
			return nil, false, fault.New(fault.Unavailable, "read chains back in %s/%d: the log did not answer",
				tp.Topic, tp.Partition)
		}
		for _, r := range got[0].Records {
			d := waits[string(r.Key)]
			if d == nil || r.Offset >= d.rec.Offset {
				continue
			}
			e, err := event.FromRecord(r)
			if h := heads[d.order]; err == nil && h.Judge(orders.LinkOf(e), false) == chain.Valid {
				heads[d.order] = h.Accept(orders.LinkOf(e), true)
			}
		}
		at = got[0].Next
	}
	return heads, starts[tp] == 0, nil
}

// hasRead lets the orders of a reading go on, by the heads that it found.
func (c *cycle) hasRead(r *reading) {
	c.readings--
	r.src.reading = false
	if r.t.Lost() {
		return
	}
	if r.err == nil {
		c.Count(chainsRead, len(r.waits), telemetry.Topic.String(r.src.Topic))
	} else {
		c.Logger.Warn("chains cannot be read back, trying again", "topic", r.src.Topic, "partition", r.src.Partition,
			"orders", len(r.waits), "error", fault.FirstLine(r.err.Error()))
	}
	for id, d := range r.waits {
		o := r.t.orders[id]
		o.queue.reading = false
		if r.err != nil {
			d.tries++
			o.queue.waiting = true
			r.t.backOff(o, d.tries)
			continue
		}
		switch h, found := r.heads[id]; {
		case found:
			o.SetHead(d.topic(), h.Confirmed())
		case r.whole: // what was adopted was never in this log: it is of one whose place this took
			o.SetHead(d.topic(), chain.Head{})
		default: // retention took what was adopted: there is nothing else to go by
			o.SetHead(d.topic(), o.Head(d.topic()).Confirmed())
		}
		d.tries, o.queue.waiting = 0, false
		r.t.touch(o)
		r.t.resume(o)
	}
}
