package projection

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// work is what a task takes in one step.
type work[D any] struct {
	task    *partition[D]
	items   []item
	recent  *recent[D]
	orders  []*order[D] // of the items; nil: it belongs to none
	touched []touched[D]
	bad     []undecodable
	tallies []tally // by source

	contradicted []string // orders whose adopted heads are
}

// touched is an order that a step changed.
type touched[D any] struct {
	order  *order[D]
	before D // its document
}

// build folds what is queued, per task as one change. The documents of all tasks are read in one pipeline.
func (c *cycle[D]) build(ctx context.Context) error {
	var all []*work[D]
	for _, t := range c.Tasks() {
		if !t.Lost() && !t.Writing() && t.step == nil {
			if w := c.work(t); w != nil {
				all = append(all, w)
			}
		}
	}
	if err := c.load(ctx, all); err != nil {
		return err
	}
	for _, w := range all {
		if err := c.take(ctx, w); err != nil {
			w.task.step, w.task.recent = nil, nil // some of it is folded
			return err
		}
	}
	return c.sweep(ctx)
}

// work chooses what a task folds next; nil: there is nothing.
func (c *cycle[D]) work(t *partition[D]) *work[D] {
	if !t.ready(time.Now()) {
		return nil
	}
	return &work[D]{task: t, items: t.pending[:min(len(t.pending), stepItems)], recent: c.recent(t)}
}

// load finds the orders of the next steps, and reads those that are not in memory. What cannot be read was written
// by a hand that is not ours: the log knows better.
func (c *cycle[D]) load(ctx context.Context, all []*work[D]) error {
	var news []*order[D]
	var keys []string
	var of []*work[D]
	find := func(w *work[D], id []byte) *order[D] {
		o := w.recent.get(id)
		if o == nil {
			o = w.recent.add(id, len(c.b.Topics))
			news, keys, of = append(news, o), append(keys, o.key), append(of, w)
		}
		return o
	}
	for _, w := range all {
		w.orders = make([]*order[D], len(w.items))
		for i, it := range w.items {
			if it.rec == nil {
				continue
			}
			id := c.b.document(it.input, it.rec)
			if len(id) > 0 {
				w.orders[i] = find(w, id)
			}
		}
	}
	at, err := c.read(ctx, news, of, keys)
	if err == nil {
		return nil
	}
	for _, w := range all {
		w.task.recent = nil // none of the new ones counts
	}
	if at >= 0 {
		c.watch.unreadable(of[at].task.Number, err)
		c.LoseStored(of[at].task, "unreadable")
	}
	return err
}

// read fills orders with what is stored of them. An error says at which of them it came, or -1: the store is away.
func (c *cycle[D]) read(ctx context.Context, orders []*order[D], of []*work[D], keys []string) (at int, err error) {
	texts, err := c.Store.Strings(ctx, keys)
	if err != nil {
		return -1, err
	}
	for i, text := range texts {
		if err := orders[i].load(c.b, text); err != nil {
			return i, err
		}
	}
	at, err = c.absent(ctx, orders, of, texts)
	if err == nil && at >= 0 {
		err = errMissing
	}
	return at, err
}

// key of the copy that a task folds.
func (c *cycle[D]) key(t *partition[D], rest string) string { return c.Store.Key(t.Number, rest) }

// take folds the records of one step.
func (c *cycle[D]) take(ctx context.Context, w *work[D]) error {
	t, began := w.task, time.Now()
	s := &step{items: len(w.items), positions: make([]int64, len(t.inputs)), delays: make([]time.Time, 0, len(w.items))}
	w.tallies = make([]tally, len(t.inputs))
	for i := range t.inputs {
		s.positions[i] = t.inputs[i].applied
	}
	w.touched = w.recent.touched[:0]
	for i, it := range w.items {
		if it.rec != nil {
			c.fold(ctx, w, it, w.orders[i])
			s.delays = append(s.delays, it.rec.Time)
		}
		s.positions[it.input] = it.next
	}
	w.recent.touched = w.touched
	for i, in := range t.Inputs {
		c.watch.counted(in.Topic, w.tallies[i], began)
	}
	if err := c.write(w, s); err != nil {
		return err
	}
	t.step = s
	return nil
}

// fold takes one record into its order. What is folded into a shadow is neither traced nor warned of again.
func (c *cycle[D]) fold(ctx context.Context, w *work[D], it item, o *order[D]) {
	r := it.rec
	var ended func(error)
	traced := !c.of.shadow && telemetry.Traced()
	if traced {
		ctx, ended = telemetry.Process(ctx, *r, c.b.Name)
	}
	j, e, err := c.place(w, it, o)
	if traced {
		ended(err)
	}
	if err != nil {
		w.bad = append(w.bad, undecodable{r.Topic, r.Partition, r.Offset, err.Error()})
	}
	w.tallies[it.input].add(j, err)
	if !c.of.shadow && (err != nil || j == chain.Superseded) {
		if !traced {
			ctx = telemetry.Extract(ctx, r.Headers) // for the log
		}
		c.watch.refused(ctx, r, e, err)
	}
}

// envelope reads the event of a record that is where its order is looked for; a note has none, and may be anywhere.
func (c *cycle[D]) envelope(source int, r *broker.Record) (event.Event, error) {
	e, err := c.b.envelope(source, r)
	if err == nil && !c.b.isNote(source) {
		err = event.Misplaced(*r, c.cfg.Partitions)
	}
	return e, err
}

// place reads one record into its order, says what became of it, and remembers the document as it was before the
// step. The error says why the envelope or the body could not be read.
func (c *cycle[D]) place(w *work[D], it item, o *order[D]) (j chain.Verdict, e event.Event, err error) {
	if e, err = c.envelope(it.input, it.rec); err != nil {
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
	if c.b.isNote(it.input) {
		return chain.Valid, e, c.takeNote(o, it.rec) // of no order: it cannot be read
	}
	at := broker.TopicPartition{Topic: it.rec.Topic, Partition: it.rec.Partition}
	j, err = o.take(c.b, it.input, e, At{at, it.rec.Offset})
	switch {
	case j == chain.Contradicted && c.of.shadow: // it was read from the log's start: to read that again would say the same
		o.confirm()
		o.changed = true
	case j == chain.Contradicted:
		w.contradicted = append(w.contradicted, o.id)
	}
	return j, e, err
}
