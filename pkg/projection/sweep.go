package projection

import (
	"context"
	"time"
)

const (
	sweepEvery = time.Minute
	sweepItems = 100
)

// sweep forgets documents older than the retention and a day, a few at a time, in those tasks that have nothing
// else to do.
func (c *cycle[D]) sweep(ctx context.Context) error {
	now := time.Now()
	limit := now.Add(-c.cfg.Retention - 24*time.Hour)
	for _, t := range c.Tasks() {
		if c.b.Ages == "" || t.Lost() || t.Writing() || t.step != nil || t.behind() || now.Sub(t.swept) < sweepEvery {
			continue
		}
		ids, err := c.Store.Below(ctx, c.key(t, c.b.Ages), float64(limit.UnixMilli()), sweepItems)
		if err != nil {
			return err
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

// forget deletes documents with all that they added.
func (c *cycle[D]) forget(ctx context.Context, t *partition[D], ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.key(t, keyOrder+id)
	}
	texts, err := c.Store.Strings(ctx, keys)
	if err != nil {
		return err
	}
	in := c.writes.Begin(c.key(t, ""))
	for i, id := range ids {
		if o, err := loadOrder(c.b, id, texts[i]); err == nil && texts[i] != "" && c.b.Index != nil {
			var none D
			c.b.Index(in, id, o.Doc, none)
		}
	}
	s := &step{ops: append(in.Ops(nil), Op{Cmd: "ZREM", Key: c.key(t, c.b.Ages), Args: ids})}
	for _, key := range keys {
		s.ops = append(s.ops, Op{Cmd: "DEL", Key: key})
	}
	c.watch.forgot(len(ids))
	t.recent, t.step = nil, s
	return nil
}
