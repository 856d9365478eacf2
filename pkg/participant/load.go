package participant

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// wanted are orders of a task that are needed in memory.
type wanted struct {
	t   *partition
	ids []string
}

// loadOrders brings orders into memory, all tasks in one round trip; when that fails, none of those that were not
// there.
func (c *cycle) loadOrders(ctx context.Context, want []wanted) (err error) {
	var missing []wanted
	var asked []taskstore.Asked
	for _, w := range want {
		w.ids = w.t.missing(w.ids, c.b)
		if len(w.ids) == 0 {
			continue
		}
		for _, key := range w.t.places() {
			asked = append(asked, taskstore.Asked{Key: c.Store.Key(w.t.Number, key), Fields: w.ids})
		}
		missing = append(missing, w)
	}
	defer func() {
		for _, w := range missing {
			for _, id := range w.ids {
				if err != nil {
					delete(w.t.orders, id)
				}
			}
		}
	}()
	found, err := c.Store.Fields(ctx, asked)
	if err != nil {
		return err
	}
	for _, w := range missing {
		places := len(w.t.places())
		for i, id := range w.ids {
			text := ""
			for _, texts := range found[:places] {
				text = cmp.Or(text, texts[i])
			}
			if err := c.remember(w.t, w.t.orders[id], text); err != nil {
				return err
			}
		}
		found = found[places:]
	}
	return nil
}

// missing are those of some orders that were not in memory and may be in the store: as yet, they look new.
func (t *partition) missing(ids []string, b *behavior) []string {
	var missing []string // not in the place of ids, which are the caller's
	for _, id := range ids {
		if t.orders[id] != nil {
			continue
		}
		id = strings.Clone(id) // what it came with need not be kept
		t.orders[id] = newOrder(id, b.zero())
		if !t.firstMet(id) {
			missing = append(missing, id)
		}
	}
	return missing
}

// places are where an order of this task may be kept; the first that has it is right.
func (t *partition) places() []string {
	places := []string{orders.Key(t.generation)}
	if t.before {
		places = append(places, orders.Key(t.generation-1))
	}
	if len(t.parked) > 0 {
		places = slices.Insert(places, 0, orders.KeyParked)
	}
	return places
}

// remember takes over what the store keeps of an order.
func (c *cycle) remember(t *partition, o *order, text string) error {
	err := o.Read(text)
	if err == nil && o.State != "" {
		o.state, err = c.b.decode(o.State)
	}
	if err != nil {
		c.watch.log.Error("redis holds an order that cannot be read", "partition", t.Number, "error", err)
		t.unreadable = true
		return c.Refold(t.Partition)
	}
	o.kept = len(o.Parked) > 0
	if pending := t.outbox.OfOrder(o.ID); len(pending) > 0 {
		o.entry = pending[len(pending)-1].Number()
	}
	return nil
}

var metSeed = maphash.MakeSeed()

// firstMet says that the store was emptied for this fold and has not been given the order since: there is nothing to
// read. Two orders with one hash cost a read of nothing, no more.
func (t *partition) firstMet(id string) bool {
	if t.met == nil {
		return false
	}
	h := maphash.String(metSeed, id)
	_, met := t.met[h]
	t.met[h] = struct{}{}
	return !met
}
