package projection

import (
	"encoding/json"

	"github.com/troupe-dev/troupe/pkg/pack"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// opsOfStep is about how many commands a step has beside those for its documents.
const opsOfStep = 32

// maxUndecodable is how many unreadable records a partition remembers, the newest.
const maxUndecodable = 1000

// write makes the commands of a step: documents, indexes, counters and positions, in one script.
func (c *cycle[D]) write(w *work[D]) error {
	t, ch := w.task, w.task.change
	if ch.Ops == nil {
		ch.Ops = make([]Op, 0, len(w.touched)+opsOfStep)
	}
	in := c.writes.Begin(c.key(t, ""))
	if err := c.documents(w, in); err != nil {
		return err
	}
	ch.Ops = in.Ops(ch.Ops)
	if err := c.unreadable(w); err != nil {
		return err
	}
	moved := make([]string, 0, 2*len(ch.positions))
	for i, s := range t.sources {
		if ch.positions[i] != s.applied {
			moved = append(moved, fieldPosition+s.Topic, formatOffset(ch.positions[i]))
		}
	}
	if len(moved) > 0 {
		c.meta(t, "HSET", moved...)
	}
	if len(w.contradicted) > 0 {
		c.meta(t, "HSET", fieldDoubted, "1")
		ch.then = func() { c.doubted(t, w.contradicted) }
	}
	if c.shadow {
		c.meta(t, "HINCRBY", rebuild.FieldFolded, formatOffset(int64(len(ch.delays))))
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
	ch.Ops = append(ch.Ops, Op{Cmd: "PUBLISH", Key: c.base.Key(t.partition, keyChanges), Args: []string{string(note)}})
	return nil
}

// doubted follows a step that met facts which an adopted head contradicts: it passed over them, and only a rebuild,
// which reads the chains from their start, can say who is right. What was folded goes on being read until then.
func (c *cycle[D]) doubted(t *task, orders []string) {
	if !t.doubted {
		c.watch.contradicted(t.partition, orders)
	}
	t.doubted = true
}

// meta adds a command on the meta of a task to its change.
func (c *cycle[D]) meta(t *task, cmd string, args ...string) {
	t.change.Ops = append(t.change.Ops, Op{Cmd: cmd, Key: c.key(t, keyMeta), Args: args})
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
	t, ch, key := w.task, w.task.change, c.key(w.task, keyUndecodable)
	for _, u := range w.bad {
		text, err := json.Marshal(u)
		if err != nil {
			return err
		}
		ch.Ops = append(ch.Ops, Op{Cmd: "LPUSH", Key: key, Args: []string{string(text)}})
	}
	ch.Ops = append(ch.Ops, Op{Cmd: "LTRIM", Key: key, Args: []string{"0", formatOffset(maxUndecodable - 1)}})
	c.meta(t, "HINCRBY", fieldUndecodable, formatOffset(int64(len(w.bad))))
	return nil
}
