package store

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Strings reads many string keys in one pipeline; a missing one is "".
func (s *Store) Strings(ctx context.Context, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.StringCmd, len(keys))
	for i, k := range keys {
		cmds[i] = pipe.Get(ctx, k)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	out := make([]string, len(keys))
	for i, c := range cmds {
		v, err := c.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, unavailable(err)
		}
		out[i] = v
	}
	return out, nil
}

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
