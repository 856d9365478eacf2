package taskstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// piped sends a command for each of some things, in one round trip. That one of them is missing is no error.
func piped[K any, C redis.Cmder](
	ctx context.Context, s *Store, of []K, queue func(pipe redis.Pipeliner, each K) C,
) ([]C, error) {
	if len(of) == 0 {
		return nil, nil
	}
	pipe, cmds := s.rdb.Pipeline(), make([]C, len(of))
	for i, each := range of {
		cmds[i] = queue(pipe, each)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for _, c := range cmds {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, unavailable(err)
		}
	}
	return cmds, nil
}

// texts are what commands brought, one after the other; what is missing is "".
func texts(cmds []*redis.SliceCmd) (all []string) {
	for _, c := range cmds {
		for _, v := range c.Val() {
			text, _ := v.(string)
			all = append(all, text)
		}
	}
	return all
}

// Hashes reads many hashes in one pipeline; a missing one is an empty map.
func (s *Store) Hashes(ctx context.Context, keys []string) ([]map[string]string, error) {
	cmds, err := piped(ctx, s, keys, func(pipe redis.Pipeliner, key string) *redis.MapStringStringCmd {
		return pipe.HGetAll(ctx, key)
	})
	out := make([]map[string]string, len(cmds))
	for i, c := range cmds {
		out[i] = c.Val()
	}
	return out, err
}

// Asked is some fields of one hash, or members of one sorted set.
type Asked struct {
	Key    string
	Fields []string
}

// Fields reads fields of hashes in one pipeline; a missing one is "".
func (s *Store) Fields(ctx context.Context, asked []Asked) ([][]string, error) {
	var parts []Asked
	for _, a := range asked {
		for part := range slices.Chunk(a.Fields, atOnce) {
			parts = append(parts, Asked{a.Key, part})
		}
	}
	cmds, err := piped(ctx, s, parts, func(pipe redis.Pipeliner, a Asked) *redis.SliceCmd {
		return pipe.HMGet(ctx, a.Key, a.Fields...)
	})
	if err != nil {
		return nil, err
	}
	all, out := texts(cmds), make([][]string, len(asked))
	for i, a := range asked {
		n := len(a.Fields)
		out[i], all = all[:n:n], all[n:]
	}
	return out, nil
}

// Strings reads many string keys in one pipeline, those of one task that follow each other in one command; a missing
// one is "".
func (s *Store) Strings(ctx context.Context, keys []string) ([]string, error) {
	var parts [][]string
	for rest := keys; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(key string) bool { return slot(key) != slot(rest[0]) })
		if n < 0 {
			n = len(rest)
		}
		n = min(n, atOnce)
		parts, rest = append(parts, rest[:n]), rest[n:]
	}
	cmds, err := piped(ctx, s, parts, func(pipe redis.Pipeliner, part []string) *redis.SliceCmd {
		return pipe.MGet(ctx, part...)
	})
	return texts(cmds), err
}

// slot is the hash tag of a key: what has the same is in one slot of a cluster.
func slot(key string) string { return key[:strings.IndexByte(key, '}')+1] }

// Ranked says of members of sorted sets, the first of each of asked, whether they are there, in one pipeline.
func (s *Store) Ranked(ctx context.Context, asked []Asked) ([]bool, error) {
	cmds, err := piped(ctx, s, asked, func(pipe redis.Pipeliner, a Asked) *redis.FloatCmd {
		return pipe.ZScore(ctx, a.Key, a.Fields[0])
	})
	there := make([]bool, len(cmds))
	for i, c := range cmds {
		there[i] = c.Err() == nil
	}
	return there, err
}

// Keep says whether there is anything under a key, and puts its expiry off for ten years: PERSIST is not among what
// rights at Redis allow so far.
func (s *Store) Keep(ctx context.Context, key string) (bool, error) {
	there, err := s.rdb.PExpire(ctx, key, 10*365*24*time.Hour).Result()
	return there, unavailable(err)
}

// Field reads one field of a hash; a missing one is "".
func (s *Store) Field(ctx context.Context, key, field string) (string, error) {
	v, err := s.rdb.HGet(ctx, key, field).Result()
	return v, unavailable(err)
}

// List reads a whole list.
func (s *Store) List(ctx context.Context, key string) ([]string, error) {
	v, err := s.rdb.LRange(ctx, key, 0, -1).Result()
	return v, unavailable(err)
}

// Scores reads a whole sorted set.
func (s *Store) Scores(ctx context.Context, key string) (map[string]float64, error) {
	z, err := s.rdb.ZRangeWithScores(ctx, key, 0, -1).Result()
	scores := make(map[string]float64, len(z))
	for _, e := range z {
		scores[e.Member.(string)] = e.Score
	}
	return scores, unavailable(err)
}

// Below returns the members of a sorted set whose score is at most limit, lowest first, at most count of them.
func (s *Store) Below(ctx context.Context, key string, limit float64, count int64) ([]string, error) {
	v, err := s.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: key, Start: "-inf", Stop: strconv.FormatFloat(limit, 'f', -1, 64), ByScore: true, Count: count,
	}).Result()
	return v, unavailable(err)
}
