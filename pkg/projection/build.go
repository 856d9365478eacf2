package projection

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// work is what one space takes in one step.
type work[D any] struct {
	task      *task
	space     *space
	live      bool
	items     []item
	recent    *recent[D]
	orders    []*order[D] // of the items; nil: it belongs to none
	touched   []touched[D]
	positions []int64
	bad       []undecodable
	tallies   []tally // by source

	contradicted []string    // orders that are to be folded again
	refolded     []*order[D] // that were, to be written; then nothing else is taken
}

// touched is an order that a step changed.
type touched[D any] struct {
	order  *order[D]
	before D // its document
}

// build folds what is queued, per task as one change. The documents of all tasks are read in one pipeline.
func (c *cycle[D]) build(ctx context.Context) error {
	// A rebuild waits for the old documents to go; otherwise that is for idle tasks.
	if err := c.sweep(ctx, func(t *task) bool { return t.level && !t.forgot }); err != nil {
		return err
	}
	var all []*work[D]
	for _, t := range c.tasks {
		if !t.taken || t.change != nil {
			continue
		}
		if t.change = c.steer(t); t.change == nil {
			all = append(all, c.work(t)...)
		}
	}
	if err := c.load(ctx, all); err != nil {
		return err
	}
	for _, w := range all {
		if err := c.take(ctx, w); err != nil {
			w.task.change = nil
			c.forgetRecent(w.task) // some of it is folded
			return err
		}
	}
	return c.sweep(ctx, func(*task) bool { return true })
}

// work chooses what a task folds next: the live space first, what is beside it as far as the live one is. Level spaces take
// the same.
func (c *cycle[D]) work(t *task) (all []*work[D]) {
	add := func(s *space, items []item) {
		if len(items) > 0 {
			all = append(all, &work[D]{task: t, space: s, live: s == t.space, items: items, recent: c.recent(t, s)})
		}
	}
	if again := c.refolded(t); len(again) > 0 {
		return []*work[D]{{task: t, space: t.space, live: true, recent: c.recent(t, t.space), refolded: again}}
	}
	next := t.pending[:min(len(t.pending), stepItems)]
	if t.closing() {
		next = nil
	}
	add(t.space, next)
	switch {
	case t.beside == nil:
	case t.level:
		add(t.beside, next)
	default:
		add(t.beside, t.beside.pending[:min(len(t.beside.pending), stepItems)])
	}
	return all
}

// load finds the orders of the next steps, and reads those that are not in memory. What cannot be read was written by a hand that is not
// ours: the log knows better.
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
		for _, o := range w.refolded {
			find(w, []byte(o.id))
		}
		w.orders = make([]*order[D], len(w.items))
		for i, it := range w.items {
			if it.rec == nil {
				continue
			}
			id := c.b.document(it.source, it.rec)
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
		c.forgetRecent(w.task) // none of the new ones counts
	}
	if at < 0 {
		return &outage{partRedis, err}
	}
	w := of[at]
	c.watch.unreadable(w.task.partition, err)
	if !w.live {
		w.task.spoiled = true
	} else if err := c.startOver(ctx, w.task); err != nil {
		return err
	}
	return &outage{partRedis, err}
}

// read fills orders with what is stored of them. An error says at which of them it came, or -1: the store is away.
func (c *cycle[D]) read(ctx context.Context, orders []*order[D], of []*work[D], keys []string) (at int, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	texts, err := c.store.Strings(ctx, keys)
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

// key of a space.
func (c *cycle[D]) key(t *task, s *space, rest string) string {
	return c.store.Key(t.partition, s.name+rest)
}

// take folds the records of one step into the change of its task.
func (c *cycle[D]) take(ctx context.Context, w *work[D]) error {
	t, began := w.task, time.Now()
	if t.change == nil {
		t.change = t.next()
	}
	from := w.space
	if t.level {
		from = t.space // both are there
	}
	w.positions, w.tallies = make([]int64, len(from.sources)), make([]tally, len(from.sources))
	for i, s := range from.sources {
		w.positions[i] = s.applied
	}
	w.touched = w.recent.touched[:0]
	c.replace(w)
	for i, it := range w.items {
		if it.rec != nil {
			c.fold(ctx, w, it, w.orders[i])
		}
		w.positions[it.source] = it.next
	}
	w.recent.touched = w.touched
	m := move{space: w.space, items: len(w.items), positions: w.positions}
	if t.level && !w.live {
		m.items = 0 // they are those of the live space
	}
	t.change.moves = append(t.change.moves, m)
	if w.live {
		for i, s := range from.sources {
			c.watch.counted(s.Topic, w.tallies[i], began)
		}
		t.change.delays = slices.Grow(t.change.delays, len(w.items))
		for _, it := range w.items {
			if it.rec != nil {
				t.change.delays = append(t.change.delays, it.rec.Time)
			}
		}
	}
	return c.write(w)
}

// fold takes one record into its order. What is folded again is neither traced nor warned of again.
func (c *cycle[D]) fold(ctx context.Context, w *work[D], it item, o *order[D]) {
	r := it.rec
	var ended func(error)
	traced := w.live && telemetry.Traced()
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
	w.tallies[it.source].add(j, err)
	if w.live && (err != nil || j == chain.Superseded) {
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

// place reads the envelope of a record and judges it, and remembers the document as it was before the step.
func (c *cycle[D]) place(w *work[D], it item, o *order[D]) (j chain.Verdict, e event.Event, err error) {
	if e, err = c.envelope(it.source, it.rec); err != nil {
		return chain.Valid, e, err
	}
	if o == nil || o.changed { // a note that cannot be read belongs to none
		j, err = c.judge(w, it, e, o)
		return j, e, err
	}
	before := o.Doc
	if j, err = c.judge(w, it, e, o); o.changed {
		w.touched = append(w.touched, touched[D]{o, before})
	}
	return j, e, err
}

// judge takes one event into its order and says what became of it. The error says why the body could not be folded.
func (c *cycle[D]) judge(w *work[D], it item, e event.Event, o *order[D]) (chain.Verdict, error) {
	if c.b.isNote(it.source) {
		return chain.Valid, c.takeNote(o, it.rec)
	}
	if w.live {
		c.refolds.touch(w.task.partition, o.id)
	}
	j, err := o.take(c.b, it.source, e, At{
		broker.TopicPartition{Topic: it.rec.Topic, Partition: it.rec.Partition}, it.rec.Offset,
	})
	if j == chain.Contradicted {
		w.pending(o)
	}
	return j, err
}
