package projection

import (
	"context"
	"slices"
	"time"
)

const (
	sweepEvery = time.Minute
	sweepItems = 100
)

// sweep forgets documents older than the retention and a day, a few at a time, in those due tasks that have nothing else to
// do. While two spaces are compared, the day is not waited for: the log no longer has to hold what is older than the retention.
func (c *cycle[D]) sweep(ctx context.Context, due func(*task) bool) error {
	now := time.Now()
	for _, t := range c.tasks {
		if !t.taken || t.change != nil || !due(t) || (now.Sub(t.swept) < sweepEvery && (!t.level || t.forgot)) {
			continue
		}
		limit := now.Add(-c.cfg.Retention)
		spaces := []*space{t.space}
		if t.level {
			spaces = append(spaces, t.beside)
		} else {
			limit = limit.Add(-24 * time.Hour)
		}
		ids, err := c.aged(ctx, t, spaces, limit)
		if err != nil {
			return &outage{partRedis, err}
		}
		if len(ids) < sweepItems {
			t.swept, t.forgot = now, t.level
		}
		if err := c.forget(ctx, t, spaces, ids); err != nil {
			return err
		}
	}
	return nil
}

// aged returns orders that are older than limit in any of the spaces, at least sweepItems if there are so many.
func (c *cycle[D]) aged(ctx context.Context, t *task, spaces []*space, limit time.Time) (ids []string, err error) {
	if c.b.Ages == "" {
		return nil, nil
	}
	for _, s := range spaces {
		more, err := c.store.Below(ctx, c.key(t, s, c.b.Ages), float64(limit.UnixMilli()), sweepItems)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// forget deletes documents with all that they added, in each space.
func (c *cycle[D]) forget(ctx context.Context, t *task, spaces []*space, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	ch := t.next()
	for _, s := range spaces {
		keys := make([]string, len(ids))
		for i, id := range ids {
			keys[i] = c.key(t, s, keyOrder+id)
		}
		texts, err := c.store.Strings(ctx, keys)
		if err != nil {
			return &outage{partRedis, err}
		}
		in := c.writes.Begin(c.key(t, s, ""))
		for i, id := range ids {
			if o, err := loadOrder(c.b, id, texts[i]); err == nil && texts[i] != "" && c.b.Index != nil {
				var none D
				c.b.Index(in, id, o.Doc, none)
			}
		}
		ch.Ops = in.Ops(ch.Ops)
		ch.Ops = append(ch.Ops, Op{Cmd: "ZREM", Key: c.key(t, s, c.b.Ages), Args: ids})
		for _, key := range keys {
			ch.Ops = append(ch.Ops, Op{Cmd: "DEL", Key: key})
		}
	}
	c.forgetRecent(t)
	c.watch.forgot(len(ids))
	t.change = ch
	return nil
}
