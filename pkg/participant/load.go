package participant

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// wanted is orders of a task that are needed in memory.
type wanted struct {
	t   *partition
	ids []string
}

// loadOrders brings orders into memory, all tasks in one round trip; if that fails, none of those that were not there.
func (c *cycle) loadOrders(ctx context.Context, want []wanted) (err error) {
	var loading []wanted
	var asked []taskstore.Asked
	for _, w := range want {
		w.ids = missing(w.t, w.ids)
		if len(w.ids) == 0 {
			continue
		}
		for _, key := range w.t.places() {
			asked = append(asked, taskstore.Asked{Key: c.Store.Key(w.t.Number, key), Fields: w.ids})
		}
		loading = append(loading, w)
	}
	defer func() {
		for _, w := range loading {
			for _, id := range w.ids {
				if err != nil {
					drop(w.t, w.t.orders[id])
				}
			}
		}
	}()
	found, err := c.Store.Fields(ctx, asked)
	if err != nil {
		return err
	}
	for _, w := range loading {
		places := len(w.t.places())
		for i, id := range w.ids {
			stored := ""
			for _, of := range found[:places] {
				stored = cmp.Or(stored, of[i])
			}
			if err := remember(w.t, w.t.orders[id], stored); err != nil {
				return err
			}
		}
		found = found[places:]
	}
	return nil
}

// missing are those of some orders that were not in memory and may be in the store: as yet, they look new.
func missing(t *partition, ids []string) []string {
	var absent []string // not in the place of ids, which are the caller's
	for _, id := range ids {
		if t.orders[id] != nil {
			continue
		}
		id = strings.Clone(id) // what it came with need not be kept
		t.orders[id] = newOrder(id, t.c.b.zero())
		if !t.firstMet(id) {
			absent = append(absent, id)
		}
	}
	return absent
}

// places are where an order of this task may be stored; the first that has it is right.
func (t *partition) places() []string {
	places := []string{orders.Key(t.generation.Number)}
	if t.before {
		places = append(places, orders.Key(t.generation.Number-1))
	}
	if len(t.parked) > 0 {
		places = slices.Insert(places, 0, orders.KeyParked)
	}
	return places
}

// remember takes over what the store has of an order.
func remember(t *partition, o *order, stored string) error {
	weigh(t, o, len(stored))
	err := o.Read(stored)
	if err == nil && o.State != "" {
		o.state, err = t.c.b.decode(o.State)
	}
	if err != nil {
		t.c.Logger.Error("redis holds an order that cannot be read", "partition", t.Number, "error", err)
		t.unreadable = true
		return t.c.Refold(t.Partition)
	}
	o.inParked = len(o.Parked) > 0
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

// notLoaded follows a failed load of orders: the store is away, or holds one that cannot be read, and its task is
// folded anew.
func (c *cycle) notLoaded(err error, tasks ...*partition) {
	if fault.ClassOf(err) == fault.Unavailable {
		c.StoreDown(err)
		return
	}
	for _, t := range tasks {
		if t.unreadable {
			c.Lose(t, "unreadable")
		}
	}
}
