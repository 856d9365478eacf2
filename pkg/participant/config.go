package participant

import (
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/clock"
)

// Config is what a participant needs beside its behaviour. Zero durations and counts mean the stated default.
type Config struct {
	// Log is the broker. Required.
	Log broker.Log
	// Redis holds the fold of the participant's own topics; it may be wiped at any moment. Required. Never evict:
	// maxmemory-policy must be noeviction.
	Redis redis.UniversalClient
	// Partitions of every v1 topic. Required.
	Partitions int
	// Retention of facts; orders are kept in Redis for 1.1 to 2.3 times as long. Default 30 days.
	Retention time.Duration
	// Concurrency is how many React calls of one instance run at once at most. Default 256.
	Concurrency int
	// HoldLimit is how long an event may be held for a cause that does not come before it is parked. Default 10 minutes.
	HoldLimit time.Duration
	// LeaveWithin bounds the wait for React calls in flight when the instance leaves. Default 5 s.
	LeaveWithin time.Duration
	// Clock says whether this machine's clock can be believed; while not, no deadline is decided. It hears Redis and
	// the records read. Nil: it is believed.
	Clock *clock.Clock
	// Activity has exceptions told in the participant's activity topic (retried, deduplicated, held, parked), beside the
	// cycle and with best effort: it can neither slow nor fail it. Default: nothing is told.
	Activity bool
}
