package orders

import (
	"slices"
	"strconv"
	"time"
)

// An order is kept as one text, in a hash that the orders of its partition share, so that one command writes or reads
// hundreds of them (docs/adr/0008). Redis forgets whole keys only, so there is a hash for each generation, a little
// longer than the facts are kept: an order is written to the one of now and looked for there and in the one before,
// and what was in neither is older than its facts. Letters are kept for ever, and so is an order with some: in a hash
// of its own.
const (
	keyOrders = "orders:" // + generation
	KeyParked = "orders:parked"
)

// Keep is how long a generation lasts. It is longer than the facts are kept, so that an order outlives the last of
// them.
func Keep(retention time.Duration) time.Duration { return retention + retention/8 }

// Generation is the number of the one that a moment belongs to.
func Generation(at time.Time, retention time.Duration) int64 {
	return at.UnixMilli() / Keep(retention).Milliseconds()
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
