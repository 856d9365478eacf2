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

// hearRedis asks Redis for its time once, and says no more than false when it is away: that is said elsewhere.
func (p *Participant[S]) hearRedis(ctx context.Context) (heard bool) {
	ctx, done := context.WithTimeout(ctx, clockWithin)
	defer done()
	asked := time.Now()
	theirs, err := p.cfg.Redis.Time(ctx).Result()
	if err == nil {
		p.cfg.Clock.Heard(clock.Redis, theirs, time.Microsecond, asked, time.Now())
	}
	return err == nil
}

// watchClock goes on asking until ctx ends; heard says whether Redis answered before.
func (p *Participant[S]) watchClock(ctx context.Context, heard bool) {
	for {
		next := clockEvery
		if !heard {
			next = clockAgain
		}
		if wait.Sleep(ctx, next) != nil {
			return
		}
		heard = p.hearRedis(ctx)
	}
}
