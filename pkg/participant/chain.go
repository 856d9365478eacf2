package participant

import (
	"context"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Bounds of the readings of chains: they go on beside the cycle, and must not take the broker or the memory from it.
const (
	maxReadings  = 2 // under way at once, of all logs of the instance
	readingBytes = 1 << 20
)

// reading is one pass through a log from its start, for all orders of which a fact contradicted an adopted head when it began. Each of
// their lanes waits for it.
type reading struct {
	t     *task
	src   *source
	waits map[string]*delivery // by order: its chain is read up to this fact
	heads map[string]chain.Head
	err   error
	begun bool
}

// contradicted lets an order wait until its chain is read back: which of the two facts is the right one cannot be known otherwise.
func (c *cycle) contradicted(t *task, o *order, d *delivery) {
	o.lane.reading = true
	i := slices.IndexFunc(c.readings, func(r *reading) bool { return r.src == d.src && !r.begun })
	if i < 0 {
		i = len(c.readings)
		c.readings = append(c.readings, &reading{t: t, src: d.src, waits: map[string]*delivery{}})
	}
	c.readings[i].waits[o.id] = d
}

// readChains begins what readings may begin: those of one log after each other, so that all that comes meanwhile shares the next.
func (c *cycle) readChains() {
	c.readings = slices.DeleteFunc(c.readings, func(r *reading) bool { return r.t.dead && !r.begun })
	if c.leaving {
		return
	}
	busy := map[*source]bool{}
	for _, r := range c.readings {
		if r.begun {
			busy[r.src] = true
		}
	}
	for _, r := range c.readings {
		if r.begun || busy[r.src] || len(busy) == maxReadings {
			continue
		}
		r.begun, busy[r.src] = true, true
		c.work.Go(func() {
			r.heads, r.err = c.readBack(r.t.ctx, r.src.TopicPartition, r.waits)
			c.chains <- r
		})
	}
}

// readBack finds the heads of some orders' chains as they are in a log before the facts that wait.
func (c *cycle) readBack(ctx context.Context, tp broker.TopicPartition, waits map[string]*delivery) (map[string]chain.Head, error) {
	starts, err := c.cfg.Log.Starts(ctx, []broker.TopicPartition{tp})
	if err != nil {
		return nil, err
	}
	end := int64(0)
	for _, d := range waits {
		end = max(end, d.rec.Offset)
	}
	heads := map[string]chain.Head{}
	for at := starts[tp]; at < end; {
		got, err := c.cfg.Log.Fetch(ctx, []broker.Position{{TopicPartition: tp, Offset: at, MaxBytes: readingBytes}})
		if err != nil {
			return nil, err
		}
		if len(got) != 1 || got[0].Err != nil || got[0].Next == at {
			return nil, fault.New(fault.Unavailable, "read chains back in %s/%d: the log did not answer", tp.Topic, tp.Partition)
		}
		for _, r := range got[0].Records {
			d := waits[string(r.Key)]
			if d == nil || r.Offset >= d.rec.Offset {
				continue
			}
			e, err := event.FromRecord(r)
			if h := heads[d.order]; err == nil && h.Judge(linkOf(e), false) == chain.Valid {
				heads[d.order] = h.Accept(linkOf(e), true)
			}
		}
		at = got[0].Next
	}
	return heads, nil
}

// hasRead lets the orders of a reading go on, by the heads that it found.
func (c *cycle) hasRead(r *reading) {
	c.readings = slices.DeleteFunc(c.readings, func(other *reading) bool { return other == r })
	if r.t.dead {
		return
	}
	if r.err == nil {
		c.watch.count(chainsRead, len(r.waits), telemetry.Topic.String(r.src.Topic))
	}
	for id, d := range r.waits {
		o := d.of
		o.lane.reading = false
		switch h, found := r.heads[id]; {
		case r.err != nil:
			o.lane.wait(r.t, o, d)
			continue
		case found:
			o.setHead(d.topic(), h.Confirmed())
		default: // retention took what was adopted: there is nothing else to go by
			o.setHead(d.topic(), o.head(d.topic()).Confirmed())
		}
		r.t.touch(o)
		c.pump(r.t, o)
	}
}
