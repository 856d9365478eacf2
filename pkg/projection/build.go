package projection

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// maxUndecodable is how many unreadable records a partition remembers, the newest.
const maxUndecodable = 1000

// work is what one space takes in one step.
type work[D any] struct {
	task      *task
	space     *space
	live      bool
	items     []item
	orders    map[string]*order[D]
	positions []int64
	bad       []undecodable
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
			all = append(all, &work[D]{task: t, space: s, live: s == t.space, items: items, orders: map[string]*order[D]{}})
		}
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

// load reads the orders of the next steps. What cannot be read was written by a hand that is not ours: the log knows better.
func (c *cycle[D]) load(ctx context.Context, all []*work[D]) error {
	most := 0
	for _, w := range all {
		most += len(w.items)
	}
	ids, keys, of := make([]string, 0, most), make([]string, 0, most), make([]*work[D], 0, most)
	for _, w := range all {
		for _, it := range w.items {
			if it.rec == nil {
				continue
			}
			id := c.b.document(it.source, *it.rec)
			if id == "" {
				continue
			}
			if _, ok := w.orders[id]; !ok {
				w.orders[id] = nil
				ids, keys, of = append(ids, id), append(keys, c.key(w.task, w.space, keyOrder+id)), append(of, w)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	texts, err := c.store.Strings(ctx, keys)
	if err != nil {
		return &outage{partRedis, err}
	}
	for i, text := range texts {
		w := of[i]
		o, err := loadOrder(c.b, ids[i], text)
		if err == nil {
			o.key = keys[i]
			w.orders[ids[i]] = o
			continue
		}
		c.watch.unreadable(w.task.partition, err)
		if !w.live {
			w.task.spoiled = true
		} else if err := c.startOver(ctx, w.task); err != nil {
			return err
		}
		return &outage{partRedis, err}
	}
	return nil
}

// key of a space.
func (c *cycle[D]) key(t *task, s *space, rest string) string {
	return c.store.Key(t.partition, s.name+rest)
}

// take folds the records of one step into the change of its task.
func (c *cycle[D]) take(ctx context.Context, w *work[D]) error {
	t := w.task
	if t.change == nil {
		t.change = t.next()
	}
	from := w.space
	if t.level {
		from = t.space // both are there
	}
	for _, s := range from.sources {
		w.positions = append(w.positions, s.applied)
	}
	for _, it := range w.items {
		if it.rec != nil {
			if err := c.fold(ctx, w, it); err != nil {
				t.change = nil
				return err
			}
		}
		w.positions[it.source] = it.next
	}
	m := move{space: w.space, items: len(w.items), positions: w.positions}
	if t.level && !w.live {
		m.items = 0 // they are those of the live space
	}
	t.change.moves = append(t.change.moves, m)
	if w.live {
		for _, it := range w.items {
			if it.rec != nil {
				t.change.delays = append(t.change.delays, it.rec.Time)
			}
		}
	}
	return c.write(w)
}

// undecodable is a record that could not be read, as it is remembered.
type undecodable struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	Error     string `json:"error"`
}

// fold takes one record. What is folded again is neither traced nor warned of again.
func (c *cycle[D]) fold(ctx context.Context, w *work[D], it item) error {
	r := it.rec
	e, err := c.b.envelope(it.source, *r)
	if w.live {
		var ended func(error)
		ctx, ended = telemetry.Process(ctx, *r, c.b.Name)
		defer func() { ended(err) }()
	}
	outcome := "unreadable"
	if err == nil {
		outcome, err = c.judge(ctx, w, it, e)
		if wait := (*outage)(nil); errors.As(err, &wait) {
			return wait
		}
	}
	if err != nil {
		w.bad = append(w.bad, undecodable{r.Topic, r.Partition, r.Offset, err.Error()})
	}
	if w.live {
		c.watch.folded(ctx, r, e, outcome, err)
	}
	return nil
}

// judge takes one event into its order and says what became of it. An outage is an error that passes by itself; any other says
// why the body could not be folded.
func (c *cycle[D]) judge(ctx context.Context, w *work[D], it item, e event.Event) (string, error) {
	if c.b.isNote(it.source) {
		return c.takeNote(w.orders, *it.rec)
	}
	o := w.orders[e.Subject]
	at := At{broker.TopicPartition{Topic: it.rec.Topic, Partition: it.rec.Partition}, it.rec.Offset}
	j, err := o.take(c.b, it.source, e, at)
	if j == contradicted {
		if err := c.refold(ctx, w.task, o, w.positions); err != nil {
			return "", err
		}
		j, err = o.take(c.b, it.source, e, at)
	}
	if err != nil {
		return "undecodable", err
	}
	return [...]string{valid: "folded", duplicate: "duplicate", void: "void", contradicted: "void"}[j], nil
}

// opsOfStep is about how many commands a step has beside those for its documents.
const opsOfStep = 16

// write makes the commands of a step.
func (c *cycle[D]) write(w *work[D]) error {
	t, ch := w.task, w.task.change
	add := func(cmd, key string, args ...string) {
		ch.Ops = append(ch.Ops, Op{Cmd: cmd, Key: key, Args: args})
	}
	var indexed []Op
	ch.Ops = slices.Grow(ch.Ops, len(w.orders)+opsOfStep)
	note := Change{Partition: t.partition, Positions: map[string]int64{}, Orders: map[string]uint64{}}
	for _, o := range w.orders {
		if o == nil || !o.changed {
			continue
		}
		text, err := o.encode()
		if err != nil {
			return err
		}
		add("SET", o.key, text)
		indexed = append(indexed, c.index(o.id, o.before, o.Doc)...)
		note.Orders[o.id] = o.Version
		if w.live && c.b.Stored != nil {
			ch.stored = append(ch.stored, func() { c.b.Stored(o.before, o.Doc) })
		}
	}
	for _, op := range merged(indexed) {
		add(op.Cmd, c.key(t, w.space, op.Key), op.Args...)
	}
	prefix := prefixBeside
	if w.live {
		prefix = ""
	}
	meta := c.store.Key(t.partition, keyMeta)
	for _, u := range w.bad {
		text, err := json.Marshal(u)
		if err != nil {
			return err
		}
		add("LPUSH", c.key(t, w.space, keyUndecodable), string(text))
	}
	if len(w.bad) > 0 {
		add("LTRIM", c.key(t, w.space, keyUndecodable), "0", formatOffset(maxUndecodable-1))
		add("HINCRBY", meta, prefix+fieldUndecodable, formatOffset(int64(len(w.bad))))
	}
	var positions []string
	for i, s := range w.space.sources {
		positions = append(positions, prefix+fieldPosition+s.Topic, formatOffset(w.positions[i]))
		note.Positions[s.Topic] = w.positions[i]
	}
	add("HSET", meta, positions...)
	if !w.live {
		if !t.level {
			c.progress(w)
		}
		return nil
	}
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	add("PUBLISH", c.store.Key(t.partition, keyChanges), string(text))
	return nil
}

func (c *cycle[D]) index(id string, before, after D) []Op {
	if c.b.Index == nil {
		return nil
	}
	return c.b.Index(id, before, after)
}
