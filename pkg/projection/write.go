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

// write makes the commands of a step: documents, indexes and counters.
func (c *cycle[D]) write(w *work[D], s *step) error {
	t := w.task
	s.ops = make([]Op, 0, len(w.touched)+opsOfStep)
	in := c.writes.Begin(c.key(t, ""))
	if err := c.documents(w, s, in); err != nil {
		return err
	}
	s.ops = in.Ops(s.ops)
	if err := c.unreadable(w, s); err != nil {
		return err
	}
	if len(w.contradicted) > 0 {
		c.doubt(t, w.contradicted)
	}
	if c.of.shadow {
		s.ops = append(s.ops, c.meta(t, "HINCRBY", rebuild.FieldFolded, formatOffset(int64(len(s.delays)))))
		return nil
	}
	if c.b.Stored != nil {
		s.stored = func() {
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
	s.ops = append(s.ops, Op{Cmd: "PUBLISH", Key: c.base.Key(t.Number, keyChanges), Args: []string{string(note)}})
	return nil
}

// doubt follows a step that meets facts which an adopted head contradicts: it passes over them, and only a rebuild,
// which reads the chains from their start, can say who is right. What was folded goes on being read until then.
func (c *cycle[D]) doubt(t *partition[D], orders []string) {
	if !t.doubted {
		c.watch.contradicted(t.Number, orders)
	}
	t.doubted = true
}

// meta is a command on the meta of a task.
func (c *cycle[D]) meta(t *partition[D], cmd string, args ...string) Op {
	return Op{Cmd: cmd, Key: c.key(t, keyMeta), Args: args}
}

// documents adds those that changed, and collects what they add to indexes and counters.
func (c *cycle[D]) documents(w *work[D], s *step, in *Writes) (err error) {
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
		s.ops = append(s.ops, Op{Cmd: "SET", Key: w.touched[i].order.key, Args: args[i : i+1 : i+1]})
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
func (c *cycle[D]) unreadable(w *work[D], s *step) error {
	if len(w.bad) == 0 {
		return nil
	}
	key := c.key(w.task, keyUndecodable)
	for _, u := range w.bad {
		text, err := json.Marshal(u)
		if err != nil {
			return err
		}
		s.ops = append(s.ops, Op{Cmd: "LPUSH", Key: key, Args: []string{string(text)}})
	}
	s.ops = append(s.ops, Op{Cmd: "LTRIM", Key: key, Args: []string{"0", formatOffset(maxUndecodable - 1)}})
	s.ops = append(s.ops, c.meta(w.task, "HINCRBY", fieldUndecodable, formatOffset(int64(len(w.bad)))))
	return nil
}
