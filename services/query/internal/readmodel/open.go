package readmodel

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/projection"
)

// keyRefunding is the sorted set of the orders that were cancelled and wait for their refund, by the millisecond since which they do. Those
// that are placed have no outcome either, and wait since then.
const keyRefunding = "refunding"

// openKeys are the sorted sets of the orders that have no outcome; an order is in one of them at most.
var openKeys = []string{keyStatus + string(Placed), keyRefunding}

// Open is what the read model knows of orders without an outcome.
type Open struct {
	Orders int64
	// Oldest is since when the first of them waits: placed then, or cancelled after it was settled before. Zero when there is none.
	Oldest time.Time
}

// Open looks at the orders of all partitions. Errors as those of Stats.
func (m *Model) Open(ctx context.Context) (Open, error) {
	var sizes []*redis.IntCmd
	var first []*redis.ZSliceCmd
	err := m.Read(ctx, func(pipe projection.Pipes, keys projection.Keys) {
		sizes, first = nil, nil
		for p := range m.Partitions {
			for _, key := range openKeys {
				sizes = append(sizes, pipe(p).ZCard(ctx, keys(p, key)))
				first = append(first, pipe(p).ZRangeWithScores(ctx, keys(p, key), 0, 0))
			}
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
