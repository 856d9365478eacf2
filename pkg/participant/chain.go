package participant

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// judge places a delivery in the chain of its order. When it contradicts a head that was only adopted, the chain is read from
// the log's start first: which of the two is the right one cannot be known otherwise.
func (c *cycle) judge(t *task, o *order, d *delivery) (judgement, error) {
	j := o.judge(d.topic(), d.ev)
	if h, _ := o.head(d.topic()); j != void || !h.adopted {
		return j, nil
	}
	h, err := c.readChain(t.ctx, d)
	if err != nil {
		return void, err
	}
	if h.seq == 0 { // retention took what was adopted: there is nothing else to go by
		h, _ = o.head(d.topic())
		h.adopted = false
	}
	o.setHead(d.topic(), h)
	t.touch(o)
	return o.judge(d.topic(), d.ev), nil
}

// readChain finds the head of an order's chain in a topic as it is in the log before a delivery.
func (c *cycle) readChain(ctx context.Context, d *delivery) (head, error) {
	tp := broker.TopicPartition{Topic: d.topic(), Partition: d.rec.Partition}
	starts, err := c.cfg.Log.Starts(ctx, []broker.TopicPartition{tp})
	if err != nil {
		return head{}, err
	}
	o := newOrder(d.order, nil)
	for at := starts[tp]; at < d.rec.Offset; {
		got, err := c.cfg.Log.Fetch(ctx, []broker.Position{{TopicPartition: tp, Offset: at}})
		if err != nil {
			return head{}, err
		}
		if len(got) != 1 || got[0].Err != nil || got[0].Next == at {
			return head{}, fault.New(fault.Unavailable, "read the chain of order %s in %s: the log did not answer", d.order, tp.Topic)
		}
		for _, r := range got[0].Records {
			if r.Offset >= d.rec.Offset || string(r.Key) != d.order {
				continue
			}
			if e, err := event.FromRecord(r); err == nil && o.judge(tp.Topic, e) == valid {
				o.moved(tp.Topic, e)
			}
		}
		at = got[0].Next
	}
	h, _ := o.head(tp.Topic)
	h.adopted = false
	return h, nil
}
