package orders

import (
	"slices"
	"strconv"
	"time"
)

// An order is kept as one text, in a hash that the orders of its partition share, so that one command writes or reads
// hundreds of them (docs/adr/0008). Redis forgets whole keys only, so there is a hash for each generation, a little
// longer than the facts are kept: an order is written to the newest and looked for there and in the one before, and
// what was in neither is older than its facts. Letters are kept for ever, and so is an order with some: in a hash of
// its own.
const (
	keyOrders = "orders:" // + generation
	KeyParked = "orders:parked"
)

// Generation numbers the hash in which a partition writes its orders.
type Generation struct {
	Number int64 // 0: there was none
	Began  int64 // Unix milliseconds; 0: not known
}

// Keep is how long a generation lasts. It is longer than the facts are kept, so that an order outlives the last of
// them.
func Keep(retention time.Duration) time.Duration { return retention + retention/8 }

// Next is the generation at a moment, after the one that is stored. The next one begins when one has lasted for Keep,
// and no second one with it, however late that is seen: an order that was written last before a service was off for
// months is found.
func (g Generation) Next(at time.Time, retention time.Duration) Generation {
	now, keep := at.UnixMilli(), Keep(retention).Milliseconds()
	if g.Number == 0 {
		return Generation{max(1, now/keep), now}
	}
	// Releases that did not write Began numbered by the calendar: by one of now, the generation is as old as that says.
	if start := g.Number * keep; start <= now && now-start < keep {
		g.Began = max(g.Began, start)
	}
	switch {
	case g.Began == 0 || g.Began > now: // of another retention, or of a clock that was ahead
		g.Began = now
	case now-g.Began >= keep:
		return Generation{g.Number + 1, now}
	}
	return g
}

// Key is that of a generation.
func Key(generation int64) string { return keyOrders + strconv.FormatInt(generation, 10) }

// Counted are those counted of a task whose orders are of some generations, each with the one before.
func Counted(generations ...int64) []string {
	rests := []string{KeyParked, "outbox", "timers", "parked"}
	for _, g := range generations {
		for _, rest := range []string{Key(g - 1), Key(g)} {
			if !slices.Contains(rests, rest) {
				rests = append(rests, rest)
			}
		}
	}
	return rests
}
