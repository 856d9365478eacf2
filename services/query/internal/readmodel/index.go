package readmodel

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/projection"
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

// MinutesKept is how far back the counters per minute go.
const MinutesKept = 60

// member is one entry of a sorted set: the document itself, or a value of its own.
type member struct{ key, value string }

// counter is one number that sums over all documents, in a hash, or in a sorted set that holds what is not zero.
type counter struct {
	key, field string
	expire     int64 // Unix second; 0: never
	sorted     bool
}

// share is what one document adds to the indexes and the counters.
type share struct {
	members  map[member]int64 // scores
	counters map[counter]int64
}

func shareOf(d Document) share {
	if d.Chain == nil && d.Order.Placed == 0 && d.Updated == 0 {
		return share{} // before its first event, or forgotten
	}
	s := share{members: map[member]int64{}, counters: map[counter]int64{}}
	if d.Chain != nil {
		s.chain(*d.Chain)
		return s
	}
	if d.Order.Placed == 0 {
		s.members[member{key: KeyAll}] = d.Updated.Time().UnixMilli() // for its age alone
		return s
	}
	score := d.Order.Placed.Time().UnixMilli()
	s.members[member{key: KeyAll}] = score
	s.members[member{key: keyStatus + string(d.Status())}] = score
	s.members[member{key: keyCustomer + d.Order.Customer}] = score
	minute(s.counters, d.Order.Placed, fieldOrders, 1)
	if d.Order.Confirmed != 0 {
		minute(s.counters, d.Order.Confirmed, fieldRevenue+d.Order.Currency, d.Order.Total)
	}
	switch {
	case d.Settled() == 0 && d.Order.Cancelled != 0:
		s.members[member{key: keyOpen}] = d.Order.Cancelled.Time().UnixMilli()
	case d.Settled() == 0:
		s.members[member{key: keyOpen}] = score
	default:
		s.counters[counter{key: keyStats, field: fieldSettled}] = 1
	}
	if at := d.FirstSettled(); at != 0 {
		took := at.Time().Sub(d.Order.Placed.Time())
		s.counters[counter{key: keyStats, field: fieldBucket + strconv.Itoa(bucketOf(took))}] = 1
	}
	return s
}

func minute(counters map[counter]int64, at Moment, field string, n int64) {
	m := at.Time().Unix() / 60
	counters[counter{key: keyMinute + strconv.FormatInt(m, 10), field: field, expire: (m + 2*MinutesKept) * 60}] = n
}

// Index returns what to write when a document changes: what it adds to indexes and counters now, without what it added before.
// A minute long past is written and expires at once, so no clock is needed.
func Index(id string, before, after Document) []projection.Op {
	var ops []projection.Op
	add := func(cmd, key string, args ...string) {
		ops = append(ops, projection.Op{Cmd: cmd, Key: key, Args: args})
	}
	old, now := shareOf(before), shareOf(after)
	for m := range old.members {
		if _, ok := now.members[m]; !ok {
			add("ZREM", m.key, cmp.Or(m.value, id))
		}
	}
	for m, score := range now.members {
		if was, ok := old.members[m]; !ok || was != score {
			add("ZADD", m.key, strconv.FormatInt(score, 10), cmp.Or(m.value, id))
		}
	}
	change := now.counters
	if change == nil {
		change = map[counter]int64{}
	}
	for c, n := range old.counters {
		change[c] -= n
	}
	for c, n := range change {
		switch {
		case n == 0:
			continue
		case c.sorted:
			add("ZINCRBY", c.key, strconv.FormatInt(n, 10), c.field)
			add("ZREMRANGEBYSCORE", c.key, "0", "0")
			continue
		}
		add("HINCRBY", c.key, c.field, strconv.FormatInt(n, 10))
		if c.expire != 0 {
			add("EXPIREAT", c.key, strconv.FormatInt(c.expire, 10))
		}
	}
	// HINCRBY stays before the EXPIREAT of its key.
	slices.SortStableFunc(ops, func(a, b projection.Op) int { return cmp.Compare(a.Key, b.Key) })
	return ops
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

// bucketEnd is the upper bound of a bucket in milliseconds.
func bucketEnd(n int) float64 { return math.Pow(bucketRatio, float64(n)) }
