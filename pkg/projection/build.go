package projection

import (
	"context"
	"encoding/json"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/store"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// maxUndecodable is how many unreadable records a partition remembers, the newest.
const maxUndecodable = 1000

// build folds what is queued, per task as one change. The documents of all tasks are read in one pipeline.
func (c *cycle[D]) build(ctx context.Context) error {
	var idle []*task
	for _, t := range c.tasks {
		if t.taken && t.change == nil && len(t.pending) > 0 {
			idle = append(idle, t)
		}
	}
	loaded, err := c.load(ctx, idle)
	if err != nil {
		return err
	}
	for i, t := range idle {
		if err := c.change(ctx, t, loaded[i]); err != nil {
			return err
		}
	}
	return c.sweep(ctx)
}

// load reads the orders of the next step of each task.
func (c *cycle[D]) load(ctx context.Context, tasks []*task) ([]map[string]*order[D], error) {
	var ids, keys []string
	var of []int
	loaded := make([]map[string]*order[D], len(tasks))
	for i, t := range tasks {
		loaded[i] = map[string]*order[D]{}
		for _, it := range t.pending[:min(len(t.pending), stepItems)] {
			if it.rec == nil {
				continue
			}
			id := c.b.document(it.source, *it.rec)
			if id == "" {
				continue
			}
			if _, ok := loaded[i][id]; !ok {
				loaded[i][id] = nil
				ids, keys, of = append(ids, id), append(keys, c.store.Key(t.partition, keyOrder+id)), append(of, i)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	texts, err := c.store.Strings(ctx, keys)
	if err != nil {
		return nil, &outage{partRedis, err}
	}
	for i, text := range texts {
		o, err := loadOrder(c.b, ids[i], text)
		if err != nil { // written by a hand that is not ours: the log knows better
			t := tasks[of[i]]
			c.watch.unreadable(t.partition, err)
			if err := c.startOver(ctx, t); err != nil {
				return nil, err
			}
			return nil, &outage{partRedis, err}
		}
		loaded[of[i]][ids[i]] = o
	}
	return loaded, nil
}

// change folds the next records of a task into one change.
func (c *cycle[D]) change(ctx context.Context, t *task, orders map[string]*order[D]) error {
	ch := &change{Change: store.Change{Partition: t.partition, Owner: t.owner, Seq: t.seq}}
	for _, s := range t.sources {
		ch.positions = append(ch.positions, s.applied)
	}
	var bad []undecodable
	for _, it := range t.pending[:min(len(t.pending), stepItems)] {
		if it.rec != nil {
			u, err := c.fold(ctx, t, ch, orders, it)
			if err != nil {
				return err
			}
			bad = append(bad, u...)
			ch.delays = append(ch.delays, it.rec.Time)
		}
		ch.positions[it.source] = it.next
		ch.items++
	}
	if err := c.write(t, ch, orders, bad); err != nil {
		return err
	}
	t.change = ch
	return nil
}

// undecodable is a record that could not be read, as it is remembered.
type undecodable struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	Error     string `json:"error"`
}

// fold takes one record.
func (c *cycle[D]) fold(ctx context.Context, t *task, ch *change, orders map[string]*order[D], it item) ([]undecodable, error) {
	r := it.rec
	var err error
	ctx, ended := telemetry.Process(ctx, *r, c.b.Name)
	defer func() { ended(err) }()
	if c.b.isNote(it.source) {
		if err = c.takeNote(ctx, orders, r); err != nil {
			return []undecodable{{r.Topic, r.Partition, r.Offset, err.Error()}}, nil
		}
		return nil, nil
	}
	e, err := event.FromRecord(*r)
	if err == nil {
		err = checkSubject(e)
	}
	if err != nil {
		c.watch.folded(ctx, r, e, "unreadable", err)
		return []undecodable{{r.Topic, r.Partition, r.Offset, err.Error()}}, nil
	}
	o := orders[e.Subject]
	at := At{broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}, r.Offset}
	j, err := o.take(c.b, it.source, e, at)
	if j == contradicted {
		if err := c.refold(ctx, t, o, ch.positions); err != nil {
			return nil, err
		}
		j, err = o.take(c.b, it.source, e, at)
	}
	if err != nil {
		c.watch.folded(ctx, r, e, "undecodable", err)
		return []undecodable{{r.Topic, r.Partition, r.Offset, err.Error()}}, nil
	}
	c.watch.folded(ctx, r, e, [...]string{valid: "folded", duplicate: "duplicate", void: "void", contradicted: "void"}[j], nil)
	return nil, nil
}

// write makes the commands of a change.
func (c *cycle[D]) write(t *task, ch *change, orders map[string]*order[D], bad []undecodable) error {
	add := func(cmd, rest string, args ...string) {
		ch.Ops = append(ch.Ops, Op{Cmd: cmd, Key: c.store.Key(t.partition, rest), Args: args})
	}
	note := Change{Partition: t.partition, Positions: map[string]int64{}, Orders: map[string]uint64{}}
	for _, o := range orders {
		if o == nil || !o.changed {
			continue
		}
		text, err := o.encode()
		if err != nil {
			return err
		}
		add("SET", keyOrder+o.id, text)
		for _, op := range c.index(o.id, o.before, o.Doc) {
			add(op.Cmd, op.Key, op.Args...)
		}
		note.Orders[o.id] = o.Version
		if c.b.Stored != nil {
			ch.stored = append(ch.stored, func() { c.b.Stored(o.before, o.Doc) })
		}
	}
	for _, u := range bad {
		text, err := json.Marshal(u)
		if err != nil {
			return err
		}
		add("LPUSH", keyUndecodable, string(text))
	}
	if len(bad) > 0 {
		add("LTRIM", keyUndecodable, "0", formatOffset(maxUndecodable-1))
		add("HINCRBY", keyMeta, fieldUndecodable, formatOffset(int64(len(bad))))
	}
	var positions []string
	for i, s := range t.sources {
		positions = append(positions, fieldPosition+s.Topic, formatOffset(ch.positions[i]))
		note.Positions[s.Topic] = ch.positions[i]
	}
	add("HSET", keyMeta, positions...)
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	add("PUBLISH", keyChanges, string(text))
	return nil
}

func (c *cycle[D]) index(id string, before, after D) []Op {
	if c.b.Index == nil {
		return nil
	}
	return c.b.Index(id, before, after)
}

// sweep forgets documents older than the retention, a few at a time, in tasks that have nothing else to do.
func (c *cycle[D]) sweep(ctx context.Context) error {
	if c.b.Ages == "" {
		return nil
	}
	now := time.Now()
	limit := now.Add(-c.cfg.Retention - 24*time.Hour).UnixMilli()
	for _, t := range c.tasks {
		if !t.taken || t.change != nil || now.Sub(t.swept) < sweepEvery {
			continue
		}
		ids, err := c.store.Below(ctx, c.store.Key(t.partition, c.b.Ages), float64(limit), sweepItems)
		if err != nil {
			return &outage{partRedis, err}
		}
		if len(ids) < sweepItems {
			t.swept = now
		}
		if err := c.forget(ctx, t, ids); err != nil {
			return err
		}
	}
	return nil
}

func (c *cycle[D]) forget(ctx context.Context, t *task, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.store.Key(t.partition, keyOrder+id)
	}
	texts, err := c.store.Strings(ctx, keys)
	if err != nil {
		return &outage{partRedis, err}
	}
	ch := &change{Change: store.Change{Partition: t.partition, Owner: t.owner, Seq: t.seq}}
	for _, s := range t.sources {
		ch.positions = append(ch.positions, s.applied)
	}
	for i, id := range ids {
		var none D
		o, err := loadOrder(c.b, id, texts[i])
		if err == nil {
			for _, op := range c.index(id, o.before, none) {
				ch.Ops = append(ch.Ops, Op{Cmd: op.Cmd, Key: c.store.Key(t.partition, op.Key), Args: op.Args})
			}
		}
		ch.Ops = append(ch.Ops,
			Op{Cmd: "ZREM", Key: c.store.Key(t.partition, c.b.Ages), Args: []string{id}}, Op{Cmd: "DEL", Key: keys[i]})
	}
	c.watch.forgot(len(ids))
	t.change = ch
	return nil
}
