package readmodel

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/projection"
)

// Stats are numbers over all orders that the read model holds.
type Stats struct {
	At time.Time
	// ByStatus counts orders; Settled those with an outcome.
	ByStatus map[Status]int64
	Settled  int64
	Settle   SettleTimes
	// Minutes, the oldest first, without gaps.
	Minutes []Minute
}

// Minute is what happened in one minute.
type Minute struct {
	Start  time.Time
	Orders int64
	// Revenue is the total of the orders confirmed, in minor units by currency.
	Revenue map[string]int64
}

// SettleTimes counts orders by the time from placed to settled for the first time, in logarithmic buckets.
type SettleTimes struct {
	Count   int64
	buckets map[int]int64
}

// Percentile returns an upper bound, at most a twentieth too large, of the time that the share q (0 to 1) of the orders took,
// in milliseconds; 0 when there are none.
func (s SettleTimes) Percentile(q float64) float64 {
	if s.Count <= 0 {
		return 0
	}
	rank, sum := q*float64(s.Count), int64(0)
	for n := range maxBucket + 1 {
		if sum += s.buckets[n]; s.buckets[n] > 0 && float64(sum) >= rank {
			return bucketEnd(n)
		}
	}
	return bucketEnd(maxBucket)
}

// Stats adds up the counters of all partitions; minutes is 1 to MinutesKept, the one that is not over yet included. A read
// model that is being rebuilt is the problem view.SlugBehind; other errors are Unavailable.
func (m *Model) Stats(ctx context.Context, now time.Time, minutes int) (Stats, error) {
	s := Stats{At: now.UTC(), ByStatus: map[Status]int64{}, Settle: SettleTimes{buckets: map[int]int64{}}}
	first := now.Unix()/60 - int64(minutes) + 1
	for i := range minutes {
		s.Minutes = append(s.Minutes, Minute{Start: time.Unix((first+int64(i))*60, 0).UTC(), Revenue: map[string]int64{}})
	}
	var sizes []*redis.IntCmd
	var hashes []*redis.MapStringStringCmd
	err := m.Read(ctx, func(pipe projection.Pipes, keys projection.Keys) {
		sizes, hashes = nil, nil
		for p := range m.Partitions {
			for _, status := range Statuses {
				sizes = append(sizes, pipe(p).ZCard(ctx, keys(p, keyStatus+string(status))))
			}
			hashes = append(hashes, pipe(p).HGetAll(ctx, keys(p, keyStats)))
			for i := range minutes {
				hashes = append(hashes, pipe(p).HGetAll(ctx, keys(p, keyMinute+strconv.FormatInt(first+int64(i), 10))))
			}
		}
	})
	if err != nil {
		return Stats{}, err
	}
	for i, c := range sizes {
		s.ByStatus[Statuses[i%len(Statuses)]] += c.Val()
	}
	for i, c := range hashes {
		if n := i % (minutes + 1); n == 0 {
			s.addTotals(c.Val())
		} else {
			s.Minutes[n-1].add(c.Val())
		}
	}
	return s, nil
}

func (s *Stats) addTotals(counters map[string]string) {
	for field, text := range counters {
		n, _ := strconv.ParseInt(text, 10, 64) // HINCRBY keeps it a number
		if field == fieldSettled {
			s.Settled += n
		}
		if bucket, ok := strings.CutPrefix(field, fieldBucket); ok {
			i, _ := strconv.Atoi(bucket)
			s.Settle.buckets[i] += n
			s.Settle.Count += n
		}
	}
}

func (m *Minute) add(counters map[string]string) {
	for field, text := range counters {
		n, _ := strconv.ParseInt(text, 10, 64)
		if field == fieldOrders {
			m.Orders += n
		}
		if currency, ok := strings.CutPrefix(field, fieldRevenue); ok {
			m.Revenue[currency] += n
		}
	}
}
