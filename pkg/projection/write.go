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

// write makes the commands of a step: documents, indexes and counters, and the message that wakes those who watch. The
// order among the first is of no matter, since one script runs all of them; the message is last.
func (f *folder[D]) write(w *work[D], s *step) error {
	t := w.task
	s.ops = make([]Op, 0, len(w.touched)+opsOfStep)
	in := f.writes.Begin(f.key(t, ""))
	if err := f.documents(w, s, in); err != nil {
		return err
	}
	s.ops = in.Ops(s.ops)
	if err := f.unreadable(w, s); err != nil {
		return err
	}
	if len(w.contradicted) > 0 {
		f.doubt(t, w.contradicted)
	}
	if f.of.shadow {
		s.ops = append(s.ops, f.meta(t, "HINCRBY", rebuild.FieldFolded, formatOffset(int64(len(s.delays)))))
		return nil
	}
	if f.b.Stored != nil {
		s.stored = func() {
			for _, of := range w.touched {
				f.b.Stored(of.before, of.order.Doc)
			}
		}
	}
	note := f.text[:0]
	for _, of := range w.touched {
		note = pack.Text(note, of.order.id)
	}
	f.text = note
	s.ops = append(s.ops, Op{Cmd: "PUBLISH", Key: f.base.Key(t.Number, keyChanges), Args: []string{string(note)}})
	return nil
}

// doubt follows a step that meets facts which an adopted head contradicts: it passes over them, and only a rebuild,
// which reads the chains from their start, can say who is right. What was folded goes on being read until then.
func (f *folder[D]) doubt(t *partition[D], orders []string) {
	if !t.doubted {
		f.watch.contradicted(t.Number, orders)
	}
	t.doubted = true
}

// meta is a command on the meta of a task.
func (f *folder[D]) meta(t *partition[D], cmd string, args ...string) Op {
	return Op{Cmd: cmd, Key: f.key(t, keyMeta), Args: args}
}

// documents adds those that changed, and collects what they add to indexes and counters.
func (f *folder[D]) documents(w *work[D], s *step, in *Writes) (err error) {
	text, ends := f.text[:0], make([]int, len(w.touched))
	for i, of := range w.touched {
		begin := len(text)
		if text, err = f.b.append(text, &of.order.record); err != nil { // as after a panic of Fold: it stays as it was
			f.watch.unstorable(of.order.id, err)
			of.order.Doc = of.before
			if text, err = f.b.append(text[:begin], &of.order.record); err != nil {
				return err
			}
		}
		ends[i] = len(text)
		if f.b.Index != nil {
			f.b.Index(in, of.order.id, of.before, of.order.Doc)
		}
		of.order.changed = false
	}
	f.text = text // its memory, for the next step
	w.recent.bytes += len(text)
	all, from, args := string(text), 0, make([]string, len(ends))
	for i, end := range ends {
		args[i], from = all[from:end], end
		s.ops = append(s.ops, Op{Cmd: "SET", Key: w.touched[i].order.key, Args: args[i : i+1 : i+1]})
	}
	return nil
}

// unreadable remembers the newest of the records that could not be read.
func (f *folder[D]) unreadable(w *work[D], s *step) error {
	if len(w.bad) == 0 {
		return nil
	}
	key := f.key(w.task, keyUndecodable)
	for _, u := range w.bad {
		text, err := json.Marshal(u)
		if err != nil {
			return err
		}
		s.ops = append(s.ops, Op{Cmd: "LPUSH", Key: key, Args: []string{string(text)}})
	}
	s.ops = append(s.ops, Op{Cmd: "LTRIM", Key: key, Args: []string{"0", formatOffset(maxUndecodable - 1)}})
	s.ops = append(s.ops, f.meta(w.task, "HINCRBY", fieldUndecodable, formatOffset(int64(len(w.bad)))))
	return nil
}
