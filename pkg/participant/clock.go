package participant

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/clock"
)

// clockEvery is how often Redis is asked for its time; clockWithin bounds one answer.
const (
	clockEvery  = 10 * time.Second
	clockWithin = time.Second
)

// hearRedis asks Redis for its time once, and says so no more when it is away: that is said elsewhere.
func (p *Participant[S]) hearRedis(ctx context.Context) {
	ctx, done := context.WithTimeout(ctx, clockWithin)
	defer done()
	asked := time.Now()
	if theirs, err := p.cfg.Redis.Time(ctx).Result(); err == nil {
		p.cfg.Clock.Heard(clock.Redis, theirs, time.Microsecond, asked, time.Now())
	}
}

// watchClock goes on asking until ctx ends.
func (p *Participant[S]) watchClock(ctx context.Context) {
	for sleep(ctx, clockEvery) == nil {
		p.hearRedis(ctx)
	}
}
