package participant

import (
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/task"
)

// writeOrders adds the commands that write the orders that changed.
func (c *cycle) writeOrders(t *partition, ch *task.Change) {
	if now := orders.Generation(time.Now(), c.cfg.Retention); now > t.generation {
		t.generation, t.before = now, true
	}
	c.packed, c.ends = c.packed[:0], c.ends[:0]
	for _, o := range t.touched {
		if o.Changed {
			c.packed = o.Append(c.packed)
		}
		c.ends = append(c.ends, len(c.packed))
	}
	texts, from := string(c.packed), 0
	var set, setParked, unparked []string
	for i, o := range t.touched {
		text := texts[from:c.ends[i]]
		from = c.ends[i]
		o.touched = false
		switch {
		case !o.Changed:
			continue
		case len(o.Parked) > 0:
			setParked = append(setParked, o.ID, text)
		default:
			set = append(set, o.ID, text)
			if o.kept {
				unparked = append(unparked, o.ID)
			}
		}
		o.Changed, o.kept = false, len(o.Parked) > 0
	}
	if len(setParked) > 0 {
		ch.Add("HSET", orders.KeyParked, setParked...)
	}
	if len(unparked) > 0 {
		ch.Add("HDEL", orders.KeyParked, unparked...)
	}
	if len(set) == 0 {
		return
	}
	ch.Add("HSET", orders.Key(t.generation), set...)
	if t.dated != t.generation {
		t.dated = t.generation
		ch.Add("PEXPIRE", orders.Key(t.generation), strconv.FormatInt((3*orders.Keep(c.cfg.Retention)).Milliseconds(), 10)) // for when no task drops it
	}
}
