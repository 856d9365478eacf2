package taskstore

import (
	"context"
	"errors"
	"fmt"
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

// Store keeps the tasks of one service. Reads are of whatever is there: only Apply and Reset, which name the owner,
// notice that somebody else has taken over. It is used by any number of goroutines.
type Store struct {
	rdb    redis.UniversalClient
	name   string
	copies []string // by partition: what its keys begin with; nil: every key of a partition is its task's
}

// New returns the store of a service. It opens no connection.
func New(rdb redis.UniversalClient, name string) *Store { return &Store{rdb: rdb, name: name} }

// Copies returns the store of one of several copies of the tasks; names, by partition, are what the keys of a copy
// begin with.
func (s *Store) Copies(names []string) *Store { return &Store{rdb: s.rdb, name: s.name, copies: names} }

// Key is the full name of a task's key: {service:partition}:rest.
func (s *Store) Key(partition int, rest string) string {
	if s.copies != nil {
		rest = s.copies[partition] + rest
	}
	return "{" + s.name + ":" + strconv.Itoa(partition) + "}:" + rest
}

// eachNode calls f on every master of a cluster, or on the one server.
func eachNode(ctx context.Context, rdb redis.UniversalClient, f func(context.Context, redis.Cmdable) error) error {
	if c, ok := rdb.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, n *redis.Client) error { return f(ctx, n) })
	}
	return f(ctx, rdb)
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
