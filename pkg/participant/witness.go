package participant

import (
	"context"
	"slices"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Redis can lose some keys and keep the others: evicted, or deleted by another tenant. With every change the store is asked whether all keys
// of the task are there that the change before left there, so that a part that is missing is noticed as a store that is gone is, and is
// folded again. What has a key for each order is noticed where it is used: a letter that the orders know of and that cannot be read is folded
// again. A marker that is gone leaves a request to be published once more, as the same event.

// witness are the keys of a task that are counted, by the generations that they are of.
type witness struct {
	generation, stored int64
	keys               []string
}

// witness names the keys of a task whose loss is to be noticed: those of the generations that the store has and will have among them.
func (c *cycle) witness(t *task) []string {
	stored, ok := t.stored[fieldGeneration]
	if !ok {
		stored = t.generation
	}
	if w := &t.witness; w.keys == nil || w.generation != t.generation || w.stored != stored {
		*w = witness{t.generation, stored, witnessKeys(c.st, t.partition, stored, t.generation)}
	}
	return t.witness.keys
}

// witnessKeys are those counted of a task whose orders are of some generations, each with the one before.
func witnessKeys(st *taskstore.Store, partition int, generations ...int64) []string {
	rests := []string{keyParkedOrders, "outbox", "timers", "parked"}
	for _, g := range generations {
		for _, rest := range []string{ordersKey(g - 1), ordersKey(g)} {
			if !slices.Contains(rests, rest) {
				rests = append(rests, rest)
			}
		}
	}
	for i, rest := range rests {
		rests[i] = st.Key(partition, rest)
	}
	return rests
}

// leaving are the generations of orders that nobody will look for once the next change is stored.
func (t *task) leaving() (gone []int64) {
	stored, ok := t.stored[fieldGeneration]
	for g := stored - 1; ok && g <= min(stored, t.generation-2); g++ {
		gone = append(gone, g)
	}
	return gone
}

// whole says whether the store has every key that the last change of a task left there, whoever made it.
func (c *cycle) whole(ctx context.Context, t *task) (bool, error) {
	out := c.st.Apply(ctx, []taskstore.Change{{Partition: t.partition, Owner: t.owner, Seq: t.seq, Kept: c.witness(t)}})[0]
	switch {
	case out.Err != nil:
		return false, out.Err
	case out.Verdict == taskstore.Fenced:
		return false, fault.New(fault.Unavailable, "partition %d was claimed by another instance meanwhile", t.partition)
	case out.Verdict == taskstore.Lost:
		c.watch.partlyLost(t)
		return false, nil
	}
	return true, nil
}
