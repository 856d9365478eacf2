package taskstore

import (
	"context"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// unfold marks a task as not whole before its keys go, so that a crash in between is folded from the start. seq goes
// on here and in whole, so that a store that is taken back into a reset is not taken for one that went through it.
// Which logs the positions were of (log:) is known until others are written: a crash in between must not forget that
// what a group committed is of a log that is gone.
var unfold = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 2 end
local all = redis.call('HGETALL', KEYS[1])
local kept = {'owner', ARGV[1], 'seq', redis.call('HINCRBY', KEYS[1], 'seq', 1)}
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 4) == 'log:' then
    kept[#kept+1] = all[i]
    kept[#kept+1] = all[i+1]
  end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(kept))
return 0`)

// remove deletes keys of a task that still has this owner; what the next owner wrote is not ours to delete.
var remove = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 2 end
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
return 0`)

// atOnce bounds the keys or fields of one command, so that nobody waits long behind it.
const atOnce = 500

func (s *Store) remove(ctx context.Context, meta, owner string, keys []string) error {
	for batch := range slices.Chunk(keys, atOnce) {
		if err := remove.Run(ctx, s.rdb, append([]string{meta}, batch...), owner).Err(); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// whole marks a task as empty and whole, and returns its seq; 0: it has another owner.
var whole = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'fold_version', ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'seq', 1)`)

// Emptied is a task that is to begin anew: who claimed it, and the beginnings of the keys that are left, without their
// hash tags.
type Emptied struct {
	Owner  string
	Spared []string
}

// Reset deletes everything of some tasks, by partition, except what is spared, and starts them anew under a fold
// version. seqs is what their changes go on from. Fenced when another owner of one of them came in between: claim all
// again. It looks through all keys of the service.
func (s *Store) Reset(
	ctx context.Context, foldVersion string, tasks map[int]Emptied,
) (seqs map[int]int64, v Verdict, err error) {
	for p, t := range tasks {
		if n, err := unfold.Run(ctx, s.rdb, []string{s.Key(p, "meta")}, t.Owner).Int(); err != nil || n != 0 {
			return nil, Verdict(n), unavailable(err)
		}
	}
	err = s.Scan(ctx, func(p int, rests []string) error {
		t, ours := tasks[p]
		if !ours {
			return nil
		}
		var keys []string
		for _, rest := range rests {
			spared := func(prefix string) bool { return strings.HasPrefix(rest, prefix) }
			if rest != "meta" && !slices.ContainsFunc(t.Spared, spared) {
				keys = append(keys, s.Key(p, rest))
			}
		}
		return s.remove(ctx, s.Key(p, "meta"), t.Owner, keys)
	})
	if err != nil {
		return nil, Lost, err
	}
	seqs = map[int]int64{}
	for p, t := range tasks {
		n, err := whole.Run(ctx, s.rdb, []string{s.Key(p, "meta")}, t.Owner, foldVersion).Int64()
		if err != nil || n == 0 {
			return nil, Fenced, unavailable(err)
		}
		seqs[p] = n
	}
	return seqs, Applied, nil
}
