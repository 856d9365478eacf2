package projection

import (
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Redis can lose some keys of the read model and keep the others: evicted, or deleted by another tenant. Keys whose
// names are known (Behavior.Kept) are counted with every change, as a participant's are. A document is missed where it
// is used, by whoever folds or reads it: the set of ages still has it then. Either way the partition is folded again,
// and meanwhile what is not found may exist.

var errMissing = fault.New(fault.Permanent, "its document is lost")

// spoil has a partition folded again of which a reader misses a document: no owner holds it any more, and no version
// has folded it. KEYS: meta, the document, the set of ages. ARGV: the order.
var spoil = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 or not redis.call('ZSCORE', KEYS[3], ARGV[1]) then return 0 end
redis.call('HDEL', KEYS[1], 'fold_version')
redis.call('HSET', KEYS[1], 'owner', 'a reader misses a document')
return 1`)
