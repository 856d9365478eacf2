package participant

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
)

// Redis can lose some keys and keep the others: evicted, or deleted by another tenant. With every change the store is
// asked whether all keys of the task are there that the change before left there, so that a part that is missing is
// noticed as a store that is gone is, and is folded again. What has a key for each order is noticed where it is used:
// a letter that the orders know of and that cannot be read is folded again. A marker that is gone leaves a request to
// be published once more, as the same event.

// witness are the keys of a task that are counted, by the generations that they are of.
type witness struct {
	generation, stored int64
	keys               []string
}

// Counted implements task.Handler: those of the generations that the store has and will have are among them.
func (c *cycle) Counted(t *partition) []string {
	if t.generation == 0 { // at the claim
		t.generation = max(t.Stored[fieldGeneration], orders.Generation(time.Now(), c.cfg.Retention))
	}
	stored, ok := t.Stored[fieldGeneration]
	if !ok {
		stored = t.generation
	}
	if w := &t.witness; w.keys == nil || w.generation != t.generation || w.stored != stored {
		*w = witness{t.generation, stored, orders.Counted(stored, t.generation)}
	}
	return t.witness.keys
}

// leaving are the generations of orders that nobody will look for once the next change is stored.
func (t *partition) leaving() (gone []int64) {
	stored, ok := t.Stored[fieldGeneration]
	for g := stored - 1; ok && g <= min(stored, t.generation-2); g++ {
		gone = append(gone, g)
	}
	return gone
}
