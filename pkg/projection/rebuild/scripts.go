package rebuild

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/redis/go-redis/v9"
)

// record writes fields of an entry for who owns the live copy. KEYS: the entry, the live copy's meta, and that of a
// shadow to be dropped: whoever still folds it loses it at once. ARGV: owner, fields and values.
var record = redis.NewScript(`
if redis.call('HGET', KEYS[2], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
if KEYS[3] then redis.call('UNLINK', KEYS[3]) end
return 1`)

// swap moves the pointer to a shadow that is whole and nowhere behind the live copy, so that no reader goes back.
// The live copy's meta goes with it: whoever still folds it, or reads it by an older pointer, finds nothing. KEYS:
// the entry, the metas of live copy and shadow. ARGV: owner of the live copy, name and fold version of the shadow,
// status, token for clearing, topics.
var swap = redis.NewScript(`
local live, shadow = KEYS[2], KEYS[3]
if redis.call('HGET', live, 'owner') ~= ARGV[1] or redis.call('HGET', KEYS[1], 'shadow') ~= ARGV[2]
  or redis.call('HGET', shadow, 'fold_version') ~= ARGV[3] then return 0 end
for i = 6, #ARGV do
  local at = tonumber(redis.call('HGET', shadow, 'in:' .. ARGV[i]) or -1)
  if at < tonumber(redis.call('HGET', live, 'in:' .. ARGV[i]) or 0)
    or at < tonumber(redis.call('HGET', shadow, 'goal:' .. ARGV[i]) or 0) then return 0 end
end
redis.call('HSET', KEYS[1], 'live', ARGV[2], 'shadow', '', 'is', ARGV[4], 'clear', ARGV[5])
redis.call('UNLINK', live)
return 1`)

// remove deletes keys of a copy that is neither live nor a shadow: no copy becomes either twice, so nobody else
// need be asked. KEYS: the entry, then what is to be deleted. ARGV: name of the copy.
var remove = redis.NewScript(`
local copies = redis.call('HMGET', KEYS[1], 'live', 'shadow')
if (copies[1] or '') == ARGV[1] or ARGV[1] ~= '' and copies[2] == ARGV[1] then return 0 end
return redis.call('UNLINK', unpack(KEYS, 2))`)

// cleared ends clearing, unless another copy was dropped meanwhile. KEYS: the entry. ARGV: token.
var cleared = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'clear') == ARGV[1] then redis.call('HDEL', KEYS[1], 'clear') end
return 1`)

// write records what the owner of a partition made of its entry; false: it is not the owner any more.
func (r *Runner) write(ctx context.Context, partition int, owner string, before, after entry) (bool, error) {
	keys := []string{r.store.Key(partition, Key), r.store.Key(partition, before.live+Meta)}
	if before.shadow != "" && after.shadow == "" {
		keys = append(keys, r.store.Key(partition, before.shadow+Meta))
	}
	done, err := record.Run(ctx, r.rdb, keys, append([]any{owner}, after.fields(before)...)...).Bool()
	return done, Unavailable(err)
}

// swap moves the pointer of a partition if its shadow has caught up, and says so. Where it moved and the answer is
// lost, the live copy is lost for its owner, who then reads the pointer.
func (r *Runner) swap(ctx context.Context, partition int, owner string, before entry) bool {
	live, shadow := r.store.Key(partition, before.live+Meta), r.store.Key(partition, before.shadow+Meta)
	folded, err := r.rdb.HGet(ctx, shadow, FieldFolded).Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false
	}
	after := before.swapped(folded)
	is, _ := json.Marshal(after.is) // as in fields
	args := []any{owner, after.live, r.Version, string(is), after.clear}
	for _, topic := range r.Topics {
		args = append(args, topic)
	}
	moved, err := swap.Run(ctx, r.rdb, []string{r.store.Key(partition, Key), live, shadow}, args...).Bool()
	if err != nil || !moved {
		return false
	}
	r.tell(partition, before, after)
	return true
}
