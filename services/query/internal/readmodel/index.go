package readmodel

import (
	"math"
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

// Kept are the keys of a partition that have fixed names: that one of them is lost is noticed at once.
var Kept = []string{
	KeyAll, keyStatus + string(Placed), keyStatus + string(Confirmed), keyStatus + string(Cancelled), keyRefunding, keyStats, keyGroups, keyLog,
}

// MinutesKept is how far back the counters per minute go.
const MinutesKept = 60

// entry is what one document adds to one place of an index or of the counters.
type entry struct {
	place
	n     int64 // score, or what is added
	taken bool  // its place is in the other document's share, too
}

// place is one of an index or of the counters.
type place struct {
	kind
	key  projection.Name
	name projection.Name // of a member, it is empty for the document itself
}

type kind int

const (
	memberOf  kind = iota // of a sorted set, by score
	countOf               // a field of a hash, which sums over all documents
	rankingOf             // a member of a sorted set, whose score sums over all documents; it holds what is not zero
)

// share is what one document adds to the indexes and the counters: to each place once.
type share []entry

func (s *share) add(k kind, key, name projection.Name, n int64) {
	*s = append(*s, entry{place: place{k, key, name}, n: n})
}

func (s *share) member(key projection.Name, score int64) {
	s.add(memberOf, key, projection.Name{}, score)
}

func (s *share) count(key, field projection.Name, n int64) { s.add(countOf, key, field, n) }

func named(text string) projection.Name { return projection.Name{Text: text} }

// minute is the key of the counters of a minute.
func minute(at Moment) projection.Name {
	return projection.Name{Text: keyMinute, N: at.Time().Unix() / 60}
}

func shareOf(d Document) (s share) {
	s.of(d)
	return s
}

// of appends what a document adds, always in the same order.
func (s *share) of(d Document) {
	if d.Chain != nil {
		s.chain(*d.Chain)
		return
	}
	if d.Order.Placed == 0 {
		if d.Updated != 0 {
			s.member(named(KeyAll), d.Updated.Time().UnixMilli()) // for its age alone
		}
		return
	}
	score := d.Order.Placed.Time().UnixMilli()
	s.member(named(KeyAll), score)
	s.member(projection.Name{Text: keyStatus, Of: string(d.Status())}, score)
	s.member(projection.Name{Text: keyCustomer, Of: d.Order.Customer}, score)
	s.count(minute(d.Order.Placed), named(fieldOrders), 1)
	if d.Order.Confirmed != 0 {
		s.count(minute(d.Order.Confirmed), projection.Name{Text: fieldRevenue, Of: d.Order.Currency}, d.Order.Total)
	}
	switch {
	case d.Settled() != 0:
		s.count(named(keyStats), named(fieldSettled), 1)
	case d.Order.Cancelled != 0:
		s.member(named(keyRefunding), d.Order.Cancelled.Time().UnixMilli())
	}
	if at := d.FirstSettled(); at != 0 {
		took := at.Time().Sub(d.Order.Placed.Time())
		s.count(named(keyStats), bucketField(bucketOf(took)), 1)
	}
}

// shares are lent to Index: those of two documents, with room for what an order adds.
var shares = sync.Pool{New: func() any { return &[2]share{make(share, 0, 8), make(share, 0, 8)} }}

// Index says what to write when a document changes: what it adds to indexes and counters now, without what it added before.
// A minute long past is written and expires at once, so no clock is needed.
func Index(w *projection.Writes, id string, before, after Document) {
	both := shares.Get().(*[2]share)
	defer func() {
		clear(both[0])
		clear(both[1])
		shares.Put(both)
	}()
	was, is := both[0][:0], both[1][:0]
	was.of(before)
	is.of(after)
	both[0], both[1] = was, is
	next := 0 // what both have comes in the same order, mostly
	for i := range is {
		e := &is[i]
		change := *e
		if at := was.find(e, next); at >= 0 {
			next = at + 1
			was[at].taken = true
			if was[at].n == e.n {
				continue
			}
			if e.kind != memberOf {
				change.n -= was[at].n
			}
		}
		change.write(w, id)
	}
	for i := range was {
		if e := was[i]; !e.taken {
			e.remove(w, id)
		}
	}
}

// find returns where an entry's place is in a share, or -1; it looks from next on first.
func (s share) find(e *entry, next int) int {
	for i := next; i < len(s); i++ {
		if s[i].place == e.place {
			return i
		}
	}
	for i := range min(next, len(s)) {
		if s[i].place == e.place {
			return i
		}
	}
	return -1
}

// member is what an entry of a sorted set is called there.
func (e *entry) member(id string) string {
	if e.name == (projection.Name{}) {
		return id
	}
	return e.name.String()
}

func (e *entry) write(w *projection.Writes, id string) {
	switch e.kind {
	case memberOf:
		w.Add(e.key, e.member(id), e.n)
	case rankingOf:
		w.Rank(e.key, e.name, e.n)
	case countOf:
		w.Count(e.key, e.name, e.n)
		if e.key.Text == keyMinute {
			w.Expire(e.key, (e.key.N+2*MinutesKept)*60)
		}
	}
}

// remove takes back what an entry added.
func (e *entry) remove(w *projection.Writes, id string) {
	if e.kind == memberOf {
		w.Remove(e.key, e.member(id))
		return
	}
	e.n = -e.n
	e.write(w, id)
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
