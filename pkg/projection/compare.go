package projection

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

const (
	// compareKeys is how many keys of both spaces are read at one moment, compareMembers how many members of one sorted set.
	compareKeys    = 250
	compareMembers = 1000
	// maxDiffers is how many differing keys are named.
	maxDiffers = 10
)

// comparison of the two spaces of a task that are level. Every script writes both, so that whatever is read of both at one
// moment is equal, or one of them is wrong.
type comparison struct {
	owner, liveName, besideName string

	live, beside digest
	differing    int
	first        []string
	moved        bool
}

// digest is a sum over entries, so it does not depend on their order.
type digest uint64

func (d digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

// add takes the entries of one key.
func (d *digest) add(rest string, entries map[string]string) {
	for k, v := range entries {
		h := sha256.New()
		for _, part := range []string{rest, k, v} {
			_ = binary.Write(h, binary.BigEndian, uint32(len(part))) //nolint:gosec // no key or value has 4 GiB; writing to a hash cannot fail
			h.Write([]byte(part))
		}
		*d += digest(binary.BigEndian.Uint64(h.Sum(nil)))
	}
}

func (f *comparison) take(rest string, live, beside map[string]string) bool {
	f.live.add(rest, live)
	f.beside.add(rest, beside)
	return maps.Equal(live, beside)
}

func (f *comparison) differ(rest string) {
	if f.differing++; len(f.first) < maxDiffers {
		f.first = append(f.first, strings.TrimPrefix(rest, keyOrder))
	}
}

// compare looks at every key of the spaces.
func (c *cycle[D]) compare(ctx context.Context, tasks map[int]*comparison) error {
	return c.store.Scan(ctx, func(partition int, rests []string) error {
		f := tasks[partition]
		if f == nil || f.moved {
			return nil
		}
		var mine, others []string
		for _, rest := range rests {
			name := spaceOf(rest)
			switch rest = rest[len(name):]; {
			case name == "" && reserved(rest), rest == keyUndecodable:
			case name == f.liveName:
				mine = append(mine, rest)
			case name == f.besideName:
				others = append(others, rest)
			}
		}
		alone, err := c.missing(ctx, partition, f.liveName, others)
		for next := range slices.Chunk(append(mine, alone...), compareKeys) {
			if err == nil {
				err = c.compareAll(ctx, partition, f, next)
			}
		}
		if errors.Is(err, errMoved) {
			f.moved, err = true, nil
		}
		return err
	})
}

// missing returns those that a space does not have.
func (c *cycle[D]) missing(ctx context.Context, partition int, name string, rests []string) (none []string, err error) {
	cmds := make([]*redis.IntCmd, len(rests))
	_, err = c.cfg.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, rest := range rests {
			cmds[i] = pipe.Exists(ctx, c.store.Key(partition, name+rest))
		}
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	for i, cmd := range cmds {
		if cmd.Val() == 0 {
			none = append(none, rests[i])
		}
	}
	return none, nil
}

// pair are the two keys of one name.
type pair struct {
	rest, live, beside, kind string
}

// compareAll compares some keys, all at one moment but for the sorted sets.
func (c *cycle[D]) compareAll(ctx context.Context, partition int, f *comparison, rests []string) error {
	pairs := make([]pair, len(rests))
	for i, rest := range rests {
		pairs[i] = pair{rest: rest, live: c.store.Key(partition, f.liveName+rest), beside: c.store.Key(partition, f.besideName+rest)}
	}
	if err := c.kinds(ctx, pairs); err != nil {
		return err
	}
	reads := make([]func() (live, beside map[string]string), len(pairs))
	err := c.both(ctx, partition, f, func(pipe redis.Pipeliner) {
		for i, p := range pairs {
			if p.kind != "zset" {
				reads[i] = c.entries(ctx, pipe, p)
			}
		}
	})
	if err != nil {
		return err
	}
	for i, p := range pairs {
		if p.kind == "zset" {
			if err := c.compareSet(ctx, partition, f, p); err != nil {
				return err
			}
			continue
		}
		if live, beside := reads[i](); !f.take(p.rest, live, beside) {
			f.differ(p.rest)
		}
	}
	return nil
}

// kinds finds out what the keys are. An order is a string; what is gone on both sides meanwhile is nothing.
func (c *cycle[D]) kinds(ctx context.Context, pairs []pair) error {
	cmds := map[int][2]*redis.StatusCmd{}
	_, err := c.cfg.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, p := range pairs {
			if strings.HasPrefix(p.rest, keyOrder) {
				pairs[i].kind = "string"
				continue
			}
			cmds[i] = [2]*redis.StatusCmd{pipe.Type(ctx, p.live), pipe.Type(ctx, p.beside)}
		}
		return nil
	})
	if err != nil {
		return unavailable(err)
	}
	for i, cmd := range cmds {
		live, beside := cmd[0].Val(), cmd[1].Val()
		switch {
		case live == beside, beside == "none":
			pairs[i].kind = live
		case live == "none":
			pairs[i].kind = beside
		default:
			pairs[i].kind = live + " and " + beside
		}
	}
	return nil
}

// both reads of both spaces at one moment.
func (c *cycle[D]) both(ctx context.Context, partition int, f *comparison, ask func(redis.Pipeliner)) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var meta *redis.SliceCmd
	_, err := c.cfg.Redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		meta = pipe.HMGet(ctx, c.store.Key(partition, keyMeta), "owner", fieldSpace, fieldBeside)
		ask(pipe)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return unavailable(err)
	}
	got := meta.Val()
	if text(got[0]) != f.owner || text(got[1]) != f.liveName || text(got[2]) != f.besideName {
		return errMoved
	}
	return nil
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// entries queues reading what a key holds, in both spaces, in a form that does not depend on the order of writing.
func (c *cycle[D]) entries(ctx context.Context, pipe redis.Pipeliner, p pair) func() (live, beside map[string]string) {
	read := func(key string) func() map[string]string {
		switch p.kind {
		case "hash":
			return counters(pipe.HGetAll(ctx, key))
		case "set":
			return counted(pipe.SMembers(ctx, key))
		case "list":
			return counted(pipe.LRange(ctx, key, 0, -1))
		}
		return func() map[string]string { return nil } // gone
	}
	switch p.kind {
	case "string":
		live, beside := pipe.Get(ctx, p.live), pipe.Get(ctx, p.beside)
		return func() (map[string]string, map[string]string) {
			a, b := live.Val(), beside.Val()
			if a != b && strings.HasPrefix(p.rest, keyOrder) {
				a, b = canonical[D](a), canonical[D](b)
			}
			return value(a), value(b)
		}
	case "none", "hash", "set", "list":
		live, beside := read(p.live), read(p.beside)
		return func() (map[string]string, map[string]string) { return live(), beside() }
	}
	// Another type on each side, or one that nothing can be summed up in.
	return func() (map[string]string, map[string]string) { return map[string]string{"type": p.kind}, nil }
}

func value(text string) map[string]string {
	if text == "" {
		return nil
	}
	return map[string]string{"": text}
}

// counters leaves out those that are 0: they may never have been touched.
func counters(cmd *redis.MapStringStringCmd) func() map[string]string {
	return func() map[string]string {
		entries := cmd.Val()
		maps.DeleteFunc(entries, func(_, v string) bool { return v == "0" })
		return entries
	}
}

func counted(cmd *redis.StringSliceCmd) func() map[string]string {
	return func() map[string]string {
		n := map[string]int{}
		for _, m := range cmd.Val() {
			n[m]++
		}
		entries := make(map[string]string, len(n))
		for m, times := range n {
			entries[m] = strconv.Itoa(times)
		}
		return entries
	}
}

// canonical is a document as this program would write it: another one may have written it in another form.
func canonical[D any](stored string) string {
	var r record[D]
	if json.Unmarshal([]byte(stored), &r) != nil {
		return stored
	}
	text, err := json.Marshal(r)
	if err != nil {
		return stored
	}
	return string(text)
}

// compareSet compares a sorted set in parts, from the highest rank down: what leaves the set meanwhile moves other members into
// parts that are still to come, never out of them.
func (c *cycle[D]) compareSet(ctx context.Context, partition int, f *comparison, p pair) error {
	var sizes [2]*redis.IntCmd
	err := c.both(ctx, partition, f, func(pipe redis.Pipeliner) {
		sizes = [2]*redis.IntCmd{pipe.ZCard(ctx, p.live), pipe.ZCard(ctx, p.beside)}
	})
	if err != nil {
		return err
	}
	same := sizes[0].Val() == sizes[1].Val()
	for end := max(sizes[0].Val(), sizes[1].Val()); end > 0; end -= compareMembers {
		var live, beside *redis.ZSliceCmd
		err := c.both(ctx, partition, f, func(pipe redis.Pipeliner) {
			live = pipe.ZRangeWithScores(ctx, p.live, max(0, end-compareMembers), end-1)
			beside = pipe.ZRangeWithScores(ctx, p.beside, max(0, end-compareMembers), end-1)
		})
		if err != nil {
			return err
		}
		same = f.take(p.rest, scored(live.Val()), scored(beside.Val())) && same
	}
	if !same {
		f.differ(p.rest)
	}
	return nil
}

func scored(members []redis.Z) map[string]string {
	entries := make(map[string]string, len(members))
	for _, z := range members {
		entries[text(z.Member)] = strconv.FormatFloat(z.Score, 'g', -1, 64)
	}
	return entries
}
