package participant

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// clockEvery is how often Redis is asked for its time, and clockAgain after it gave no answer: no deadline is decided
// until one is there. clockWithin bounds one answer.
const (
	clockEvery  = 10 * time.Second
	clockAgain  = 500 * time.Millisecond
	clockWithin = time.Second
)

// askRedis asks Redis for its time once, and says no more than false when it is away: that is said elsewhere.
func askRedis(ctx context.Context, cfg Config) (answered bool) {
	ctx, done := context.WithTimeout(ctx, clockWithin)
	defer done()
	asked := time.Now()
	theirs, err := cfg.Redis.Time(ctx).Result()
	if err == nil {
		cfg.Clock.Heard(clock.Redis, theirs, time.Microsecond, asked, time.Now())
	}
	return err == nil
}

// watchClock goes on asking until ctx ends; answered says whether Redis did before.
func watchClock(ctx context.Context, cfg Config, answered bool) {
	for {
		next := clockEvery
		if !answered {
			next = clockAgain
		}
		if wait.Sleep(ctx, next) != nil {
			return
		}
		answered = askRedis(ctx, cfg)
	}
}
