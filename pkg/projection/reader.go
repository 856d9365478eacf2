package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/store"
)

// Reader reads what a projection stores, from any instance.
type Reader[D any] struct {
	b     Behavior[D]
	rdb   redis.UniversalClient
	store *store.Store
}

// NewReader returns the reader of a projection. It opens no connection.
func NewReader[D any](b Behavior[D], rdb redis.UniversalClient) *Reader[D] {
	return &Reader[D]{b: b, rdb: rdb, store: store.New(rdb, b.Name)}
}

// Key is the full name of a key that Index writes.
func (r *Reader[D]) Key(partition int, rest string) string { return r.store.Key(partition, rest) }

// State is how far a partition of the read model is.
type State struct {
	// Positions is the next offset to fold, by topic.
	Positions map[string]int64
	// Rebuilding: not everything that the logs held at the last takeover is folded, or nothing is known (Redis was wiped and
	// nobody took over yet). What is not found may exist.
	Rebuilding bool
}

// Passed says whether the record at offset is folded.
func (s State) Passed(topic string, offset int64) bool { return s.Positions[topic] > offset }

// Found is one document.
type Found[D any] struct {
	Doc D
	// Version counts the events folded into Doc; 0: there is no document.
	Version uint64
}

// readTimeout bounds every read: a reader is told that the store is away, not kept.
const readTimeout = 3 * time.Second

// Get reads a document and the state of its partition as they were at one moment. Errors are of class Unavailable.
func (r *Reader[D]) Get(ctx context.Context, partition int, id string) (Found[D], State, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var meta *redis.MapStringStringCmd
	var doc *redis.StringCmd
	_, err := r.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		meta = p.HGetAll(ctx, r.Key(partition, keyMeta))
		doc = p.Get(ctx, r.Key(partition, keyOrder+id))
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return Found[D]{}, State{}, unavailable(err)
	}
	f, err := decode[D](id, doc.Val())
	return f, r.state(meta.Val()), err
}

// Many reads documents of one partition; one that is missing has version 0. Errors are of class Unavailable.
func (r *Reader[D]) Many(ctx context.Context, partition int, ids []string) ([]Found[D], error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = r.Key(partition, keyOrder+id)
	}
	texts, err := r.store.Strings(ctx, keys)
	if err != nil {
		return nil, err
	}
	found := make([]Found[D], len(ids))
	for i, text := range texts {
		if found[i], err = decode[D](ids[i], text); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// States reads the state of the partitions 0 to partitions-1. Errors are of class Unavailable.
func (r *Reader[D]) States(ctx context.Context, partitions int) ([]State, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	keys := make([]string, partitions)
	for p := range keys {
		keys[p] = r.Key(p, keyMeta)
	}
	metas, err := r.store.Hashes(ctx, keys)
	if err != nil {
		return nil, err
	}
	states := make([]State, partitions)
	for p, m := range metas {
		states[p] = r.state(m)
	}
	return states, nil
}

func (r *Reader[D]) state(meta map[string]string) State {
	s := State{Positions: map[string]int64{}, Rebuilding: meta["fold_version"] != r.b.version()}
	for _, topic := range r.b.Topics {
		at, err1 := strconv.ParseInt(meta[fieldPosition+topic], 10, 64)
		goal, err2 := strconv.ParseInt(meta[fieldGoal+topic], 10, 64)
		s.Positions[topic] = at
		s.Rebuilding = s.Rebuilding || err1 != nil || err2 != nil || at < goal
	}
	return s
}

func decode[D any](id, text string) (Found[D], error) {
	if text == "" {
		return Found[D]{}, nil
	}
	var rec record[D]
	if err := json.Unmarshal([]byte(text), &rec); err != nil {
		return Found[D]{}, unavailable(fmt.Errorf("document of order %s: %w", id, err))
	}
	return Found[D]{Doc: rec.Doc, Version: rec.Version}, nil
}

func unavailable(err error) error {
	return fault.As(fault.Unavailable, fmt.Errorf("read model: %w", err))
}
