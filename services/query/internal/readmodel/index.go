package readmodel

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"sync"
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

// entry is what one document adds to one place of an index or of the counters.
type entry struct {
	kind
	keyed, rest string // the key is the one and the other
	name        string // of a member, it is empty for the document itself
	n           int64  // score, or what is added
	minute      int64  // Unix minute, which follows in the key; 0: none
	was         bool   // by the document before
}

// key is made for what is written alone: most of what a document adds stays as it was.
func (e *entry) key() string {
	if e.minute != 0 {
		return e.keyed + strconv.FormatInt(e.minute, 10)
	}
	return e.keyed + e.rest
}

func (e *entry) compare(o *entry) int {
	if c := cmp.Compare(e.keyed, o.keyed); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(e.rest, o.rest), cmp.Compare(e.minute, o.minute), cmp.Compare(e.name, o.name))
}

type kind int

const (
	memberOf  kind = iota // of a sorted set, by score
	countOf               // a field of a hash, which sums over all documents
	rankingOf             // a member of a sorted set, whose score sums over all documents; it holds what is not zero
)

// share is what one document adds to the indexes and the counters.
type share []entry

func (s *share) member(keyed, rest, name string, score int64) {
	*s = append(*s, entry{keyed: keyed, rest: rest, name: name, n: score})
}

func (s *share) count(key, field string, n int64) {
	*s = append(*s, entry{kind: countOf, keyed: key, name: field, n: n})
}

func (s *share) minute(at Moment, field string, n int64) {
	*s = append(*s, entry{kind: countOf, keyed: keyMinute, minute: at.Time().Unix() / 60, name: field, n: n})
}

func shareOf(d Document) (s share) {
	s.add(d)
	return s
}

func (s *share) add(d Document) {
	if d.Chain != nil {
		s.chain(*d.Chain)
		return
	}
	if d.Order.Placed == 0 {
		if d.Updated != 0 {
			s.member(KeyAll, "", "", d.Updated.Time().UnixMilli()) // for its age alone
		}
		return
	}
	score := d.Order.Placed.Time().UnixMilli()
	s.member(KeyAll, "", "", score)
	s.member(keyStatus, string(d.Status()), "", score)
	s.member(keyCustomer, d.Order.Customer, "", score)
	s.minute(d.Order.Placed, fieldOrders, 1)
	if d.Order.Confirmed != 0 {
		s.minute(d.Order.Confirmed, fieldRevenue+d.Order.Currency, d.Order.Total)
	}
	switch {
	case d.Settled() == 0 && d.Order.Cancelled != 0:
		s.member(keyOpen, "", "", d.Order.Cancelled.Time().UnixMilli())
	case d.Settled() == 0:
		s.member(keyOpen, "", "", score)
	default:
		s.count(keyStats, fieldSettled, 1)
	}
	if at := d.FirstSettled(); at != 0 {
		took := at.Time().Sub(d.Order.Placed.Time())
		s.count(keyStats, fieldBucket+strconv.Itoa(bucketOf(took)), 1)
	}
}

// shares are lent to Index: one is as large as a document.
var shares = sync.Pool{New: func() any { return new(share) }}

// Index returns what to write when a document changes: what it adds to indexes and counters now, without what it added before.
// A minute long past is written and expires at once, so no clock is needed.
func Index(id string, before, after Document) []projection.Op {
	all := shares.Get().(*share)
	defer func() {
		clear(*all)
		shares.Put(all)
	}()
	s := (*all)[:0]
	s.add(before)
	for i := range s {
		s[i].was = true
	}
	s.add(after)
	*all = s
	slices.SortStableFunc(s, func(a, b entry) int { return a.compare(&b) })
	ops := make([]projection.Op, 0, 4) // most of what a document adds stays as it was
	for len(s) > 0 {
		n := 1
		for n < len(s) && s[n].compare(&s[0]) == 0 {
			n++
		}
		ops, s = s[:n].change(ops, id), s[n:]
	}
	return ops
}

// change adds the commands for one place, of which these are the entries: those of the document before come first.
func (s share) change(ops []projection.Op, id string) []projection.Op {
	first, last := &s[0], &s[len(s)-1]
	add := func(cmd string, args ...string) {
		ops = append(ops, projection.Op{Cmd: cmd, Key: last.key(), Args: args})
	}
	if last.kind == memberOf {
		switch {
		case last.was:
			add("ZREM", cmp.Or(last.name, id))
		case !first.was || first.n != last.n:
			add("ZADD", strconv.FormatInt(last.n, 10), cmp.Or(last.name, id))
		}
		return ops
	}
	sum := int64(0)
	for _, e := range s {
		if e.was {
			e.n = -e.n
		}
		sum += e.n
	}
	switch {
	case sum == 0:
	case last.kind == rankingOf:
		add("ZINCRBY", strconv.FormatInt(sum, 10), last.name)
		add("ZREMRANGEBYSCORE", "0", "0")
	default:
		add("HINCRBY", last.name, strconv.FormatInt(sum, 10))
		if last.minute != 0 {
			add("EXPIREAT", strconv.FormatInt((last.minute+2*MinutesKept)*60, 10))
		}
	}
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
