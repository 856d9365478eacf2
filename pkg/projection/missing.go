package projection

import (
	"context"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Redis can lose some keys of the read model and keep the others: evicted, or deleted by another tenant. Keys whose
// names are known (Behavior.Kept) are counted with every change, as a participant's are. A document is missed where it
// is used, by whoever folds or reads it: the set of ages still has it then. Either way the partition is folded again,
// and meanwhile what is not found may exist.

// absent finds documents that are lost: not stored, and still in the set of ages. texts are what is stored of the
// orders. It returns the first of them, or -1.
func (c *cycle[D]) absent(ctx context.Context, orders []*order[D], of []*work[D], texts []string) (at int, err error) {
	if c.b.Ages == "" {
		return -1, nil
	}
	var asked []taskstore.Asked
	var places []int
	for i, text := range texts {
		if text == "" {
			asked = append(asked, taskstore.Asked{
				Key: c.key(of[i].task, c.b.Ages), Fields: []string{orders[i].id},
			})
			places = append(places, i)
		}
	}
	there, err := c.Store.Ranked(ctx, asked)
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

var errMissing = fault.New(fault.Permanent, "its document is lost")

// spoil has a partition folded again of which a reader misses a document: no owner holds it any more, and no version
// has folded it. KEYS: meta, the document, the set of ages. ARGV: the order.
var spoil = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 or not redis.call('ZSCORE', KEYS[3], ARGV[1]) then return 0 end
redis.call('HDEL', KEYS[1], 'fold_version')
redis.call('HSET', KEYS[1], 'owner', 'a reader misses a document')
return 1`)

// missed looks for lost documents among those that a read did not find; known says of each whether the set of ages has
// it.
func (r *Reader[D]) missed(ctx context.Context, partition int, ids []string,
	found []Found[D], known []*redis.FloatCmd) error {
	for i, f := range found {
		if f.Version > 0 || known == nil || known[i].Err() != nil {
			continue
		}
		live := r.known([]int{partition})[partition]
		keys := []string{
			r.store.Key(partition, live+keyMeta),
			r.store.Key(partition, live+keyOrder+ids[i]), r.store.Key(partition, live+r.b.Ages),
		}
		if err := spoil.Run(ctx, r.rdb, keys, ids[i]).Err(); err != nil {
			return unavailable(err)
		}
		return unavailable(errMissing)
	}
	return nil
}
