package projection

import (
	"context"
	"errors"
	"maps"
	"slices"
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
// moment is equal, or one of them is wrong. That somebody else owned them meanwhile needs no look: the change that it leads to
// finds it out.
type comparison struct {
	owner, liveName, besideName string
	refolds                     int // of the task before: an order that is to be folded again differs until it is

	live, beside digest
	differing    int
	first        []string
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
		if f == nil {
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
	err := c.both(ctx, func(pipe redis.Pipeliner) {
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
			if err := c.compareSet(ctx, f, p); err != nil {
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
func (c *cycle[D]) both(ctx context.Context, ask func(redis.Pipeliner)) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err := c.cfg.Redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		ask(pipe)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return unavailable(err)
	}
	return nil
}

// compareSet compares a sorted set in parts, from the highest rank down: what leaves the set meanwhile moves other members into
// parts that are still to come, never out of them.
func (c *cycle[D]) compareSet(ctx context.Context, f *comparison, p pair) error {
	var sizes [2]*redis.IntCmd
	err := c.both(ctx, func(pipe redis.Pipeliner) {
		sizes = [2]*redis.IntCmd{pipe.ZCard(ctx, p.live), pipe.ZCard(ctx, p.beside)}
	})
	if err != nil {
		return err
	}
	same := sizes[0].Val() == sizes[1].Val()
	for end := max(sizes[0].Val(), sizes[1].Val()); end > 0; end -= compareMembers {
		var live, beside *redis.ZSliceCmd
		err := c.both(ctx, func(pipe redis.Pipeliner) {
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
