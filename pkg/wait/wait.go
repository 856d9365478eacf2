// Package wait has the pauses that everything which tries again makes: they end when their context does, and grow
// with the number of tries.
package wait

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of Backoff.
const (
	BackoffMin = 50 * time.Millisecond
	BackoffMax = 30 * time.Second
)

// Sleep waits for d, or returns the error of ctx when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Backoff is the pause after so many tries, the first being 1: exponential from BackoffMin to BackoffMax, with jitter.
func Backoff(tries int) time.Duration {
	const doublings = 10 // after so many it is at its bound
	return Jitter(min(BackoffMax, BackoffMin<<min(max(0, tries-1), doublings)))
}

// Jitter spreads a pause over its upper half, so that those who failed together do not come back together.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
