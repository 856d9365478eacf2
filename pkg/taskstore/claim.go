package taskstore

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Meta is a task's head as found by Claim.
type Meta struct {
	// Seq is the number of the last change; 0 for a task that was not there.
	Seq int64
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
		case fieldOwner, fieldKept:
		case fieldSeq:
			if m.Seq, err = strconv.ParseInt(got[i+1], 10, 64); err != nil {
				key := s.Key(partition, "meta")
				return Meta{}, fault.New(fault.Permanent, "redis key %s field seq is %q, not a number", key, got[i+1])
			}
		case fieldVersion:
			m.FoldVersion = got[i+1]
		default:
			m.Fields[got[i]] = got[i+1]
		}
	}
	return m, nil
}
