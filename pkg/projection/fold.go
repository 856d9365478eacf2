package projection

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// take folds the records of one step.
func (f *folder[D]) take(ctx context.Context, w *work[D]) error {
	t, began := w.task, time.Now()
	s := &step{items: len(w.items), positions: make([]int64, len(t.inputs)), delays: make([]time.Time, 0, len(w.items))}
	w.tallies = make([]tally, len(t.inputs))
	for i := range t.inputs {
		s.positions[i] = t.inputs[i].applied
	}
	w.touched = w.recent.touched[:0]
	for i, it := range w.items {
		if it.rec != nil {
			f.fold(ctx, w, it, w.orders[i])
			s.delays = append(s.delays, it.rec.Time)
		}
		s.positions[it.input] = it.next
	}
	w.recent.touched = w.touched
	for i, in := range t.Inputs {
		f.watch.counted(in.Topic, w.tallies[i], began)
	}
	if err := f.write(w, s); err != nil {
		return err
	}
	t.await(s)
	return nil
}

// fold takes one record into its order. What is folded into a shadow is neither traced nor warned of again.
func (f *folder[D]) fold(ctx context.Context, w *work[D], it item, o *order[D]) {
	r := it.rec
	var ended func(error)
	traced := !f.of.shadow && telemetry.Traced()
	if traced {
		ctx, ended = telemetry.Process(ctx, *r, f.b.Name)
	}
	j, e, err := f.place(w, it, o)
	if traced {
		ended(err)
	}
	if err != nil {
		w.bad = append(w.bad, undecodable{r.Topic, r.Partition, r.Offset, err.Error()})
	}
	w.tallies[it.input].add(j, err)
	if !f.of.shadow && (err != nil || j == chain.Superseded) {
		if !traced {
			ctx = telemetry.Extract(ctx, r.Headers) // for the log
		}
		f.watch.refused(ctx, r, e, err)
	}
}

// envelope reads the event of a record that is where its order is looked for; a note has none, and may be anywhere.
func (f *folder[D]) envelope(source int, r *broker.Record) (event.Event, error) {
	e, err := f.b.envelope(source, r)
	if err == nil && !f.b.isNote(source) {
		err = event.Misplaced(*r, f.cfg.Partitions)
	}
	return e, err
}

// place reads one record into its order, says what became of it, and remembers the document as it was before the
// step. The error says why the envelope or the body could not be read.
func (f *folder[D]) place(w *work[D], it item, o *order[D]) (j chain.Verdict, e event.Event, err error) {
	if e, err = f.envelope(it.input, it.rec); err != nil {
		return chain.Valid, e, err
	}
	if o != nil && !o.changed {
		before := o.Doc
		defer func() {
			if o.changed {
				w.touched = append(w.touched, touched[D]{o, before})
			}
		}()
	}
	if f.b.isNote(it.input) {
		return chain.Valid, e, o.takeNote(f.b, it.rec) // of no order: it cannot be read
	}
	at := broker.TopicPartition{Topic: it.rec.Topic, Partition: it.rec.Partition}
	j, err = o.take(f.b, it.input, e, At{at, it.rec.Offset})
	switch {
	case j == chain.Contradicted && f.of.shadow: // it was read from the log's start: to read that again would say the same
		o.confirm()
		o.changed = true
	case j == chain.Contradicted:
		w.contradicted = append(w.contradicted, o.id)
	}
	return j, e, err
}
