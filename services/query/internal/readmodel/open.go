package readmodel

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/projection"
)

// keyOpen is the sorted set of the orders that have no outcome, by the millisecond since which they wait.
const keyOpen = "open"

// Open is what the read model knows of orders without an outcome.
type Open struct {
	Orders int64
	// Oldest is since when the first of them waits: placed then, or cancelled after it was settled before. Zero when there is none.
	Oldest time.Time
}

// Open looks at the orders of all partitions. Errors as those of Stats.
func (m *Model) Open(ctx context.Context) (Open, error) {
	if err := m.whole(ctx); err != nil {
		return Open{}, err
	}
	var sizes []*redis.IntCmd
	var first []*redis.ZSliceCmd
	_, err := m.reader.Read(ctx, m.every(), func(pipe redis.Pipeliner, keys projection.Keys) {
		sizes, first = nil, nil
		for p := range m.partitions {
			sizes = append(sizes, pipe.ZCard(ctx, keys(p, keyOpen)))
			first = append(first, pipe.ZRangeWithScores(ctx, keys(p, keyOpen), 0, 0))
		}
	})
	if err != nil {
		return Open{}, err
	}
	var o Open
	for i, size := range sizes {
		o.Orders += size.Val()
		for _, z := range first[i].Val() {
			if at := time.UnixMilli(int64(z.Score)); o.Oldest.IsZero() || at.Before(o.Oldest) {
				o.Oldest = at
			}
		}
	}
	return o, nil
}
