package taskstore

import (
	"cmp"
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Op is one Redis command on one key of the task; Args follow the key.
type Op struct {
	Cmd  string
	Key  string
	Args []string
}

// Change is one compare-and-swap of one task: it happens only when owner and Seq are still those given and nothing of
// Kept is missing, all or nothing, and makes Seq one larger. A change without Ops only compares.
type Change struct {
	Partition int
	Owner     string
	Seq       int64
	Ops       []Op
	// Kept are keys of the task that nobody but its changes makes or deletes: Redis forgets whole keys (eviction, an end
	// of its time, another tenant's UNLINK), so how many of them are there is a witness that nothing of them is lost. A
	// key that joins must not be there yet, and one that leaves must be deleted by the change before. Empty: nothing is
	// compared beside owner and Seq.
	Kept []string
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

// apply: KEYS[1] is meta, then come the keys that are counted, before and after; the others are what the commands
// touch, in order. ARGV: owner, seq, retry, the commands (of each the name, + for the next key or = for the same one,
// the number of its arguments), how many keys are counted, and the arguments of all.
const applySource = `
local call, keys, argv, unpack = redis.call, KEYS, ARGV, unpack
local m = call('HMGET', keys[1], 'owner', 'seq', 'kept')
if not m[1] or not m[2] then return 1 end
if m[1] ~= ARGV[1] then return 2 end
if m[2] ~= ARGV[2] then
  if argv[3] == '1' and tonumber(m[2]) == tonumber(argv[2]) + 1 then return 0 end
  return 1
end
local witness = tonumber(argv[5])
if witness > 0 and call('EXISTS', unpack(keys, 2, witness + 1)) ~= tonumber(m[3] or 0) then return 1 end
local key, at = witness + 1, 5
for cmd, step, n in string.gmatch(argv[4], '(%u+)([+=])(%d+)') do
  if step == '+' then key = key + 1 end
  call(cmd, keys[key], unpack(argv, at + 1, at + n))
  at = at + n
end
local seq = string.format('%d', tonumber(argv[2]) + 1)
if witness > 0 then
  call('HSET', keys[1], 'seq', seq, 'kept', call('EXISTS', unpack(keys, 2, witness + 1)))
else
  call('HSET', keys[1], 'seq', seq)
end
return 0`

var apply = redis.NewScript(applySource)

// Apply sends all changes in one pipeline and returns one outcome each, in order. Changes of different tasks have
// nothing to do with each other: in a cluster they may be on different nodes, and some may be done while others fail.
// It blocks until all are answered or ctx ends.
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

// encode makes the call of the script: two places for which it is, the number of keys, the keys, the arguments. Not
// Script.EvalSha, which would copy and box them all; a pointer to a string costs no allocation.
func (s *Store) encode(c Change) []any {
	size := 10 + len(c.Kept) + len(c.Ops)
	for _, op := range c.Ops {
		size += len(op.Args)
	}
	call := append(make([]any, 0, size), nil, nil, nil, s.Key(c.Partition, "meta"))
	for i := range c.Kept {
		call = append(call, &c.Kept[i])
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
	call = append(call, c.Owner, c.Seq, retry, string(commands), len(c.Kept))
	for i := range c.Ops {
		args := c.Ops[i].Args
		for j := range args {
			call = append(call, &args[j])
		}
	}
	return call
}
