// Package store keeps tasks in Redis. All keys of a task share one hash tag, {service:partition}, so that one script can
// change them together, in one Redis Cluster slot; every change is a compare-and-swap on who owns the task (owner) and
// which change came last (seq). What is kept is a fold of the log and may be wiped at any moment.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Fields of the meta hash that the store itself knows. Everything else there belongs to the task (positions).
const (
	fieldOwner   = "owner"
	fieldSeq     = "seq"
	fieldVersion = "fold_version"
	fieldKept    = "kept" // the witness: how many of Change.Kept are there; missing: none
)

// Store keeps the tasks of one service.
type Store struct {
	rdb  redis.UniversalClient
	name string
}

// New returns the store of a service. It opens no connection.
func New(rdb redis.UniversalClient, name string) *Store { return &Store{rdb: rdb, name: name} }

// Key is the full name of a task's key: {service:partition}:rest.
func (s *Store) Key(partition int, rest string) string {
	return "{" + s.name + ":" + strconv.Itoa(partition) + "}:" + rest
}

// Meta is a task's head as found by Claim.
type Meta struct {
	// Seq is the number of the last change; 0 for a task that was not there.
	Seq int64
	// Kept is the witness; empty: none was left.
	Kept string
	// FoldVersion is that of the code that folded what is kept; "" when nothing (or nothing whole) is kept: Reset first.
	FoldVersion string
	// Fields are the task's own fields.
	Fields map[string]string
}

// claim makes ARGV[1] the owner, creating the task when it is missing, and returns the meta hash.
var claim = redis.NewScript(`
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
redis.call('HSETNX', KEYS[1], 'seq', '0')
return redis.call('HGETALL', KEYS[1])`)

// Claim makes owner, a token never used before, the task's owner: whoever held it is refused at its next Apply. Errors
// are of class Unavailable.
func (s *Store) Claim(ctx context.Context, partition int, owner string) (Meta, error) {
	got, err := claim.Run(ctx, s.rdb, []string{s.Key(partition, "meta")}, owner).StringSlice()
	if err != nil {
		return Meta{}, unavailable(err)
	}
	m := Meta{Fields: map[string]string{}}
	for i := 0; i+1 < len(got); i += 2 {
		switch got[i] {
		case fieldOwner:
		case fieldKept:
			m.Kept = got[i+1]
		case fieldSeq:
			if m.Seq, err = strconv.ParseInt(got[i+1], 10, 64); err != nil {
				return Meta{}, fault.New(fault.Permanent, "redis key %s field seq is %q, not a number", s.Key(partition, "meta"), got[i+1])
			}
		case fieldVersion:
			m.FoldVersion = got[i+1]
		default:
			m.Fields[got[i]] = got[i+1]
		}
	}
	return m, nil
}

// Op is one Redis command on one key of the task; Args follow the key.
type Op struct {
	Cmd  string
	Key  string
	Args []string
}

// Change is one compare-and-swap of one task: it happens only when owner and Seq are still those given and nothing of Kept is missing,
// all or nothing, and makes Seq one larger. A change without Ops only compares.
type Change struct {
	Partition int
	Owner     string
	Seq       int64
	Ops       []Op
	// Kept are keys of the task that nobody but its changes makes or deletes: Redis forgets whole keys (eviction, an end of its time,
	// another tenant's UNLINK), so how many of them are there is a witness that nothing of them is lost. A key that joins must not be
	// there yet, and one that leaves must be deleted by the change before. Empty: nothing is compared beside owner and Seq.
	Kept []string
	// Then is what the next change has as Kept, when it is another set whatever there is of it. Empty: the same.
	Then []string
	// Retry says that this very change was sent before and its outcome is unknown: found done, it counts as done.
	Retry bool
}

// Verdict is what became of a change.
type Verdict int

const (
	// Applied: done; the task's seq is one larger (unless there was no Op).
	Applied Verdict = iota
	// Lost: the store forgot, wholly or in part, or went back (flushed, evicted, restored): fold again.
	Lost
	// Fenced: another owner claimed the task.
	Fenced
)

func (v Verdict) String() string { return [...]string{"applied", "lost", "fenced"}[v] }

// Outcome of a change; the verdict counts only when Err is nil. An Err is of class Unavailable and leaves the outcome
// unknown: send the same change again with Retry set.
type Outcome struct {
	Verdict Verdict
	Err     error
}

// apply: KEYS[1] is meta, then come those of the witness before and after, the others are what the commands touch, in order. ARGV: owner,
// seq, retry, the commands (of each the name, + for the next key or = for the same one, the number of its arguments), how many keys are
// counted before and up to where those are that are counted after, and the arguments of all.
const applySource = `
local call, keys, argv, unpack = redis.call, KEYS, ARGV, unpack
local m = call('HMGET', keys[1], 'owner', 'seq', 'kept')
if not m[1] or not m[2] then return 1 end
if m[1] ~= ARGV[1] then return 2 end
if m[2] ~= ARGV[2] then
  if argv[3] == '1' and tonumber(m[2]) == tonumber(argv[2]) + 1 then return 0 end
  return 1
end
local witness, last = tonumber(argv[5]), tonumber(argv[6])
if witness > 0 and call('EXISTS', unpack(keys, 2, witness + 1)) ~= tonumber(m[3] or 0) then return 1 end
local key, at = last + 1, 6
for cmd, step, n in string.gmatch(argv[4], '(%u+)([+=])(%d+)') do
  if step == '+' then key = key + 1 end
  call(cmd, keys[key], unpack(argv, at + 1, at + n))
  at = at + n
end
local seq = string.format('%d', tonumber(argv[2]) + 1)
if last > 0 then
  local first = 2
  if last > witness then first = witness + 2 end
  call('HSET', keys[1], 'seq', seq, 'kept', call('EXISTS', unpack(keys, first, last + 1)))
else
  call('HSET', keys[1], 'seq', seq)
end
return 0`

var apply = redis.NewScript(applySource)

// Apply sends all changes in one pipeline and returns one outcome each, in order.
func (s *Store) Apply(ctx context.Context, changes []Change) []Outcome {
	out := make([]Outcome, len(changes))
	results := make([]func() Outcome, len(changes))
	pipe := s.rdb.Pipeline()
	for i, c := range changes {
		if len(c.Ops) == 0 {
			results[i] = s.compare(ctx, pipe, c)
		} else {
			results[i] = s.swap(ctx, pipe, c)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, result := range results {
		out[i] = result()
	}
	return out
}

// swap runs the script of a change.
func (s *Store) swap(ctx context.Context, pipe redis.Pipeliner, c Change) func() Outcome {
	call := s.encode(c)
	call[0], call[1] = "evalsha", apply.Hash()
	cmd := pipe.Do(ctx, call...)
	return func() Outcome {
		n, err := cmd.Int()
		if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
			call[0], call[1] = "eval", applySource
			n, err = s.rdb.Do(ctx, call...).Int()
		}
		return Outcome{Verdict: Verdict(n), Err: unavailable(err)}
	}
}

// compare only looks: plain reads say the same as the script would, and cost an idle task next to nothing.
func (s *Store) compare(ctx context.Context, pipe redis.Pipeliner, c Change) func() Outcome {
	meta := pipe.HMGet(ctx, s.Key(c.Partition, "meta"), fieldOwner, fieldSeq, fieldKept)
	var there *redis.IntCmd
	if len(c.Kept) > 0 {
		there = pipe.Exists(ctx, c.Kept...)
	}
	return func() Outcome {
		v, err := meta.Result()
		if err == nil && there != nil {
			err = there.Err()
		}
		if err != nil {
			return Outcome{Err: unavailable(err)}
		}
		owner, _ := v[0].(string)
		seq, known := v[1].(string)
		kept, _ := v[2].(string)
		switch {
		case owner == "" || !known:
			return Outcome{Verdict: Lost}
		case owner != c.Owner:
			return Outcome{Verdict: Fenced}
		case seq != strconv.FormatInt(c.Seq, 10):
			return Outcome{Verdict: Lost}
		case there != nil && strconv.FormatInt(there.Val(), 10) != cmp.Or(kept, "0"):
			return Outcome{Verdict: Lost}
		}
		return Outcome{}
	}
}

// encode makes the call of the script: two places for which it is, the number of keys, the keys, the arguments. Not Script.EvalSha, which
// would copy and box them all; a pointer to a string costs no allocation.
func (s *Store) encode(c Change) []any {
	size := 10 + len(c.Kept) + len(c.Then) + len(c.Ops)
	for _, op := range c.Ops {
		size += len(op.Args)
	}
	call := append(make([]any, 0, size), nil, nil, nil, s.Key(c.Partition, "meta"))
	for i := range c.Kept {
		call = append(call, &c.Kept[i])
	}
	for i := range c.Then {
		call = append(call, &c.Then[i])
	}
	commands := make([]byte, 0, 16*len(c.Ops))
	for i := range c.Ops {
		op, step := &c.Ops[i], byte('=')
		if i == 0 || op.Key != c.Ops[i-1].Key {
			call, step = append(call, &op.Key), '+'
		}
		commands = strconv.AppendInt(append(append(commands, op.Cmd...), step), int64(len(op.Args)), 10)
	}
	call[2] = len(call) - 3
	retry := "0"
	if c.Retry {
		retry = "1"
	}
	call = append(call, c.Owner, c.Seq, retry, string(commands), len(c.Kept), len(c.Kept)+len(c.Then))
	for i := range c.Ops {
		args := c.Ops[i].Args
		for j := range args {
			call = append(call, &args[j])
		}
	}
	return call
}

// Hashes reads many hashes in one pipeline; a missing one is an empty map.
func (s *Store) Hashes(ctx context.Context, keys []string) ([]map[string]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(keys))
	for i, k := range keys {
		cmds[i] = pipe.HGetAll(ctx, k)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable(err)
	}
	out := make([]map[string]string, len(keys))
	for i, c := range cmds {
		out[i] = c.Val()
	}
	return out, nil
}

// Asked is some fields of one hash.
type Asked struct {
	Key    string
	Fields []string
}

// Fields reads fields of hashes in one pipeline; a missing one is "".
func (s *Store) Fields(ctx context.Context, asked []Asked) ([][]string, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	var cmds []*redis.SliceCmd
	for _, a := range asked {
		for part := range slices.Chunk(a.Fields, readAtOnce) {
			cmds = append(cmds, pipe.HMGet(ctx, a.Key, part...))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable(err)
	}
	out := make([][]string, len(asked))
	for i, a := range asked {
		out[i] = make([]string, 0, len(a.Fields))
		for len(out[i]) < len(a.Fields) {
			for _, v := range cmds[0].Val() {
				text, _ := v.(string)
				out[i] = append(out[i], text)
			}
			cmds = cmds[1:]
		}
	}
	return out, nil
}

// Exists says whether there is anything under a key.
func (s *Store) Exists(ctx context.Context, key string) (bool, error) {
	n, err := s.rdb.Exists(ctx, key).Result()
	return n > 0, unavailable(err)
}

// List reads a whole list.
func (s *Store) List(ctx context.Context, key string) ([]string, error) {
	v, err := s.rdb.LRange(ctx, key, 0, -1).Result()
	return v, unavailable(err)
}

// Scores reads a whole sorted set.
func (s *Store) Scores(ctx context.Context, key string) (map[string]float64, error) {
	z, err := s.rdb.ZRangeWithScores(ctx, key, 0, -1).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	m := make(map[string]float64, len(z))
	for _, e := range z {
		m[e.Member.(string)] = e.Score
	}
	return m, nil
}

// unfold marks a task as not whole before its keys go, so that a crash in between is folded from the start. seq goes on here and in whole,
// so that a store that is taken back into a reset is not taken for one that went through it. Which logs the positions were of (log:) is
// known until others are written: a crash in between must not forget that what a group committed is of a log that is gone.
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

// resetKeys bounds the keys of one command, so that nobody waits long behind it.
const resetKeys = 500

func (s *Store) remove(ctx context.Context, meta, owner string, keys []string) error {
	for batch := range slices.Chunk(keys, resetKeys) {
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

// Reset deletes everything of some tasks except the keys whose rest begins with one of keep, and starts them anew under a fold version.
// owners is who claimed each partition; seqs is what their changes go on from. Fenced when another owner of one of them came in between:
// claim all again.
func (s *Store) Reset(ctx context.Context, owners map[int]string, foldVersion string, keep ...string) (seqs map[int]int64, v Verdict, err error) {
	for p, owner := range owners {
		if n, err := unfold.Run(ctx, s.rdb, []string{s.Key(p, "meta")}, owner).Int(); err != nil || n != 0 {
			return nil, Verdict(n), unavailable(err)
		}
	}
	err = s.Scan(ctx, func(p int, rests []string) error {
		owner, ours := owners[p]
		if !ours {
			return nil
		}
		var keys []string
		for _, rest := range rests {
			if rest != "meta" && !hasAnyPrefix(rest, keep) {
				keys = append(keys, s.Key(p, rest))
			}
		}
		return s.remove(ctx, s.Key(p, "meta"), owner, keys)
	})
	if err != nil {
		return nil, Lost, err
	}
	seqs = map[int]int64{}
	for p, owner := range owners {
		n, err := whole.Run(ctx, s.rdb, []string{s.Key(p, "meta")}, owner, foldVersion).Int64()
		if err != nil || n == 0 {
			return nil, Fenced, unavailable(err)
		}
		seqs[p] = n
	}
	return seqs, Applied, nil
}

// eachNode calls f on every master of a cluster, or on the one server.
func eachNode(ctx context.Context, rdb redis.UniversalClient, f func(context.Context, redis.Cmdable) error) error {
	if c, ok := rdb.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error { return f(ctx, n) })
	}
	return f(ctx, rdb)
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// unavailable classifies a Redis error; nil stays nil.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return nil
	}
	return fault.As(fault.Unavailable, fmt.Errorf("redis: %w", err))
}
