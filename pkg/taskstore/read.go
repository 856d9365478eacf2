package taskstore

import (
	"context"
	"errors"
	"github.com/redis/go-redis/v9"
	"slices"
	"strconv"
	"strings"
)

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

// Strings reads many string keys in one pipeline, those of one task that follow each other in one command; a missing
// one is "".
func (s *Store) Strings(ctx context.Context, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	var cmds []*redis.SliceCmd
	for rest := keys; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(k string) bool { return slot(k) != slot(rest[0]) })
		if n < 0 {
			n = len(rest)
		}
		n = min(n, readAtOnce)
		cmds = append(cmds, pipe.MGet(ctx, rest[:n]...))
		rest = rest[n:]
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable(err)
	}
	out := make([]string, 0, len(keys))
	for _, c := range cmds {
		for _, v := range c.Val() {
			text, _ := v.(string)
			out = append(out, text)
		}
	}
	return out, nil
}

// readAtOnce bounds the keys or fields of one command, so that nobody waits long behind it.
const readAtOnce = 500

// slot is the hash tag of a key: what has the same is in one slot of a cluster.
func slot(key string) string { return key[:strings.IndexByte(key, '}')+1] }

// Below returns the members of a sorted set whose score is at most limit, lowest first, at most count of them.
func (s *Store) Below(ctx context.Context, key string, limit float64, count int64) ([]string, error) {
	v, err := s.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: key, Start: "-inf", Stop: strconv.FormatFloat(limit, 'f', -1, 64), ByScore: true, Count: count,
	}).Result()
	return v, unavailable(err)
}

// Field reads one field of a hash; a missing one is "".
func (s *Store) Field(ctx context.Context, key, field string) (string, error) {
	v, err := s.rdb.HGet(ctx, key, field).Result()
	return v, unavailable(err)
}

// Ranked says of members of sorted sets, one for each of asked, whether they are there, in one pipeline.
func (s *Store) Ranked(ctx context.Context, asked []Asked) ([]bool, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.FloatCmd, len(asked))
	for i, a := range asked {
		cmds[i] = pipe.ZScore(ctx, a.Key, a.Fields[0])
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, unavailable(err)
	}
	there := make([]bool, len(asked))
	for i, c := range cmds {
		there[i] = c.Err() == nil
	}
	return there, nil
}
