package readmodel

import (
	"math"
	"time"

	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
)

// Keys of a partition, beside the projection's own.
const (
	// KeyAll is the sorted set of all orders, by the millisecond in which they were placed.
	KeyAll      = "all"
	keyStatus   = "status:"   // + status: the same, of one status
	keyCustomer = "customer:" // + customer id: the same, of one customer
	keyStats    = "stats"     // hash of counters over all documents
	keyMinute   = "minute:"   // + Unix minute: hash of counters of this minute, kept for MinutesKept and a while

	fieldSettled = "settled"
	fieldBucket  = "t:" // + number: orders by the time they took to settle
	fieldOrders  = "orders"
	fieldRevenue = "r:" // + currency
)

// Kept are the keys of a partition that have fixed names: that one of them is lost is noticed at once.
var Kept = []string{
	KeyAll, keyStatus + string(Placed), keyStatus + string(Confirmed), keyStatus + string(Cancelled), keyRefunding, keyStats,
}

// MinutesKept is how far back the counters per minute go.
const MinutesKept = 60

func named(text string) projection.Name { return projection.Name{Text: text} }

// Index says what to write when a document changes.
var Index = view.Index(addTo)

// addTo appends what a document adds, always in the same order.
func addTo(s *view.Share, d Document) {
	if d.Order.Placed == 0 {
		if d.Updated != 0 {
			s.Member(named(KeyAll), d.Updated.Time().UnixMilli()) // for its age alone
		}
		return
	}
	score := d.Order.Placed.Time().UnixMilli()
	s.Member(named(KeyAll), score)
	s.Member(projection.Name{Text: keyStatus, Of: string(d.Status())}, score)
	s.Member(projection.Name{Text: keyCustomer, Of: d.Order.Customer}, score)
	countIn(s, d.Order.Placed, named(fieldOrders), 1)
	if d.Order.Confirmed != 0 {
		countIn(s, d.Order.Confirmed, projection.Name{Text: fieldRevenue, Of: d.Order.Currency}, d.Order.Total)
	}
	switch {
	case d.Settled() != 0:
		s.Count(named(keyStats), named(fieldSettled), 0, 1)
	case d.Order.Cancelled != 0:
		s.Member(named(keyRefunding), d.Order.Cancelled.Time().UnixMilli())
	}
	if at := d.FirstSettled(); at != 0 {
		took := at.Time().Sub(d.Order.Placed.Time())
		s.Count(named(keyStats), bucketField(bucketOf(took)), 0, 1)
	}
}

// countIn counts in the minute of a moment.
func countIn(s *view.Share, at Moment, field projection.Name, n int64) {
	minute := at.Time().Unix() / 60
	s.Count(projection.Name{Text: keyMinute, N: minute}, field, (minute+2*MinutesKept)*60, n)
}

// The buckets of settle times: bucket n ends at bucketRatio to the power of n milliseconds, so that a percentile is at most a
// twentieth too large.
const (
	bucketRatio = 1.05
	maxBucket   = 450 // 40 days
)

// bucketOf returns the bucket of a duration.
func bucketOf(d time.Duration) int {
	ms := float64(d) / float64(time.Millisecond)
	if ms <= 1 {
		return 0
	}
	return min(int(math.Ceil(math.Log(ms)/math.Log(bucketRatio)-1e-9)), maxBucket)
}

// bucketField counts the orders of a bucket. Bucket 0 has its number as text: a Name leaves a 0 out.
func bucketField(n int) projection.Name {
	if n == 0 {
		return projection.Name{Text: fieldBucket, Of: "0"}
	}
	return projection.Name{Text: fieldBucket, N: int64(n)}
}

// bucketEnd is the upper bound of a bucket in milliseconds.
func bucketEnd(n int) float64 { return math.Pow(bucketRatio, float64(n)) }
