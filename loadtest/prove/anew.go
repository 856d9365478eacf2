package main

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

const (
	// anewLeast and anewMost bound how many order in the new log: enough that every partition gets some.
	anewLeast, anewMost = 60, 500
	// topicsAway is how long there are no topics, at least: services look for them every second.
	topicsAway = 3 * time.Second
)

// anew puts another log in the place of the one that was judged, when the schedule says so, and judges that.
func (p *run) anew(ctx context.Context, s inspect.System, rep *report, faults []schedule.Fault) error {
	for _, f := range faults {
		d := deed{Fault: f, Began: time.Since(p.began)}
		if s.Gone, d.Err = s.Remember(ctx); d.Err == nil {
			s.Parked = map[string]bool{}
			rep.Anew, d.Seen, d.Err = p.renewTopics(ctx, s, f.Seed)
		}
		d.Took = time.Since(p.began) - d.Began
		p.deeds = append(p.deeds, d)
		if d.Err != nil {
			p.say("%s: %v", f.Key(), d.Err)
			return ctx.Err()
		}
		if err := rep.tell(ctx, s, rep.Anew, "stories-anew.txt"); err != nil {
			return err
		}
		for _, v := range rep.Anew.Violations {
			rep.Found.Violation(v.Guarantee, v.Order, "in the log that took the place of the first: %s", v.Text)
		}
	}
	return nil
}

// renewTopics deletes the topics under running services that keep their Redis. Customers come as soon as the old log is gone; what they
// are promised is judged by what is in the new one.
func (p *run) renewTopics(ctx context.Context, s inspect.System, seed uint64) (found *check.Report, seen string, err error) {
	plan := p.plan(min(max(anewLeast, p.orders/5), anewMost), seed)
	var result load.Result
	placed := make(chan error, 1)
	within, cancel := context.WithTimeout(ctx, p.quiet)
	defer cancel()
	topics, err := p.RenewTopics(ctx, func() {
		go func() { // received below
			var err error
			result, err = plan.Run(within, p.Orders, nil)
			placed <- err
		}()
		pause(ctx, topicsAway)
	})
	if err != nil {
		return nil, "", err
	}
	seen = fmt.Sprintf("%d topics are others, and %d customers came", topics, plan.Orders)
	p.say("%s", seen)
	unanswered := <-placed
	if ctx.Err() != nil {
		return nil, "", ctx.Err()
	}
	if found, err = p.judge(ctx, s, result.Expected, result.Violations); err != nil {
		return nil, "", err
	}
	if unanswered != nil {
		found.Violation(check.Stuck, "", "%d of %d customers have no answer", plan.Orders-len(result.Expected), plan.Orders)
	}
	return found, seen, nil
}
