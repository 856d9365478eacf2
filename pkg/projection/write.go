package projection

import (
	"encoding/json"

	"github.com/troupe-dev/troupe/pkg/pack"
)

// opsOfStep is about how many commands a step has beside those for its documents.
const opsOfStep = 32

// maxUndecodable is how many unreadable records a partition remembers, the newest.
const maxUndecodable = 1000

// write makes the commands of a step.
func (c *cycle[D]) write(w *work[D]) error {
	t, ch := w.task, w.task.change
	if ch.Ops == nil {
		ch.Ops = make([]Op, 0, len(w.touched)+opsOfStep)
	}
	in := c.writes.Begin(c.key(t, w.space, ""))
	if err := c.documents(w, in); err != nil {
		return err
	}
	ch.Ops = in.Ops(ch.Ops)
	if err := c.unreadable(w); err != nil {
		return err
	}
	prefix := w.prefix()
	moved := make([]string, 0, 2*len(w.positions))
	for i, s := range w.space.sources {
		if w.positions[i] != s.applied {
			moved = append(moved, prefix+fieldPosition+s.Topic, formatOffset(w.positions[i]))
		}
	}
	if len(moved) > 0 {
		c.meta(t, ch, "HSET", moved...)
	}
	c.noteRefolds(w)
	if !w.live {
		if !t.level {
			c.progress(w)
		}
		return nil
	}
	if c.b.Stored != nil {
		ch.stored = func() {
			for _, of := range w.touched {
				c.b.Stored(of.before, of.order.Doc)
			}
		}
	}
	note := c.text[:0]
	for _, of := range w.touched {
		note = pack.Text(note, of.order.id)
	}
	c.text = note
	ch.Ops = append(ch.Ops, c.told(t, string(note)))
	return nil
}

// prefix of what the meta holds about a space.
func (w *work[D]) prefix() string {
	if w.live {
		return ""
	}
	return prefixBeside
}

// documents adds those that changed, and collects what they add to indexes and counters.
func (c *cycle[D]) documents(w *work[D], in *Writes) (err error) {
	ch := w.task.change
	text, ends := c.text[:0], make([]int, len(w.touched))
	for i, of := range w.touched {
		if text, err = c.b.append(text, &of.order.record); err != nil {
			return err
		}
		ends[i] = len(text)
		if c.b.Index != nil {
			c.b.Index(in, of.order.id, of.before, of.order.Doc)
		}
		of.order.changed = false
	}
	c.text = text // its memory, for the next step
	w.recent.bytes += len(text)
	all, from, args := string(text), 0, make([]string, len(ends))
	for i, end := range ends {
		args[i], from = all[from:end], end
		ch.Ops = append(ch.Ops, Op{Cmd: "SET", Key: w.touched[i].order.key, Args: args[i : i+1 : i+1]})
	}
	return nil
}

// undecodable is a record that could not be read, as it is remembered.
type undecodable struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	Error     string `json:"error"`
}

// unreadable remembers the newest of the records that could not be read.
func (c *cycle[D]) unreadable(w *work[D]) error {
	if len(w.bad) == 0 {
		return nil
	}
	t, ch, key := w.task, w.task.change, c.key(w.task, w.space, keyUndecodable)
	for _, u := range w.bad {
		text, err := json.Marshal(u)
		if err != nil {
			return err
		}
		ch.Ops = append(ch.Ops, Op{Cmd: "LPUSH", Key: key, Args: []string{string(text)}})
	}
	ch.Ops = append(ch.Ops, Op{Cmd: "LTRIM", Key: key, Args: []string{"0", formatOffset(maxUndecodable - 1)}})
	c.meta(t, ch, "HINCRBY", w.prefix()+fieldUndecodable, formatOffset(int64(len(w.bad))))
	return nil
}
