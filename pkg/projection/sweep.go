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
// else to do. How old they are goes by the clock that is behind, this host's or Redis': one that is ahead would
// have all forgotten.
func (f *folder[D]) sweep(ctx context.Context) error {
	now := time.Now()
	var limit time.Time // zero: not asked for yet
	for t := range f.Alive() {
		if f.b.Ages == "" || t.Writing() || t.step != nil || t.behind() || now.Sub(t.swept) < sweepEvery {
			continue
		}
		if limit.IsZero() {
			theirs, err := f.cfg.Redis.Time(ctx).Result()
			if err != nil {
				return err
			}
			if theirs.After(now) {
				theirs = now
			}
			limit = theirs.Add(-f.cfg.Retention - 24*time.Hour)
		}
		ids, err := f.Store.Below(ctx, f.key(t, f.b.Ages), float64(limit.UnixMilli()), sweepItems)
		if err != nil {
			return err
		}
		if len(ids) < sweepItems {
			t.swept = now
		}
		if err := f.forget(ctx, t, ids); err != nil {
			return err
		}
	}
	return nil
}

// forget deletes documents with all that they added.
func (f *folder[D]) forget(ctx context.Context, t *partition[D], ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = f.key(t, keyOrder+id)
	}
	texts, err := f.Store.Strings(ctx, keys)
	if err != nil {
		return err
	}
	in := f.writes.Begin(f.key(t, ""))
	for i, id := range ids {
		if o, err := loadOrder(f.b, id, texts[i]); err == nil && texts[i] != "" && f.b.Index != nil {
			var none D
			f.b.Index(in, id, o.Doc, none)
		}
	}
	s := &step{ops: append(in.Ops(nil), Op{Cmd: "ZREM", Key: f.key(t, f.b.Ages), Args: ids})}
	for _, key := range keys {
		s.ops = append(s.ops, Op{Cmd: "DEL", Key: key})
	}
	f.watch.forgot(len(ids))
	t.recent, t.step = nil, s
	return nil
}
