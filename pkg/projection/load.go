package projection

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// load finds the orders of the next steps, and reads those that are not in memory. What cannot be read was written
// by a hand that is not ours: the log knows better.
func (f *folder[D]) load(ctx context.Context, all []*work[D]) error {
	var news []*order[D]
	var keys []string
	var of []*work[D]
	find := func(w *work[D], id []byte) *order[D] {
		o := w.recent.get(id)
		if o == nil {
			o = w.recent.add(id, len(f.b.Topics))
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
			id := f.b.document(it.input, it.rec)
			if len(id) > 0 {
				w.orders[i] = find(w, id)
			}
		}
	}
	at, err := f.read(ctx, news, of, keys)
	if err == nil {
		return nil
	}
	for _, w := range all {
		w.task.recent = nil // none of the new ones counts
	}
	if at >= 0 {
		f.watch.unreadable(of[at].task.Number, err)
		f.LoseStored(of[at].task, "unreadable")
	}
	return err
}

// read fills orders with what is stored of them. An error says at which of them it came, or -1: the store is away.
func (f *folder[D]) read(ctx context.Context, orders []*order[D], of []*work[D], keys []string) (at int, err error) {
	texts, err := f.Store.Strings(ctx, keys)
	if err != nil {
		return -1, err
	}
	for i, text := range texts {
		if err := orders[i].load(f.b, text); err != nil {
			return i, err
		}
	}
	at, err = f.absent(ctx, orders, of, texts)
	if err == nil && at >= 0 {
		err = errMissing
	}
	return at, err
}

// absent finds documents that are lost: not stored, and still in the set of ages. texts are what is stored of the
// orders. It returns the first of them, or -1.
func (f *folder[D]) absent(ctx context.Context, orders []*order[D], of []*work[D], texts []string) (at int, err error) {
	if f.b.Ages == "" {
		return -1, nil
	}
	var asked []taskstore.Asked
	var places []int
	for i, text := range texts {
		if text == "" {
			asked = append(asked, taskstore.Asked{
				Key: f.key(of[i].task, f.b.Ages), Fields: []string{orders[i].id},
			})
			places = append(places, i)
		}
	}
	there, err := f.Store.Ranked(ctx, asked)
	if err != nil {
		return -1, err
	}
	for i, known := range there {
		if known {
			return places[i], nil
		}
	}
	return -1, nil
}
