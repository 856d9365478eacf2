package broker

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Fetch implements Log. With one leader it is one long poll. With several, waiting for all of them would hold the records
// of one until the slowest has had nothing to say for MaxWait; so it asks all of them for what they have now, and when that
// is nothing, waits for the first long poll (a bell) that brings something. The bells of the others go on, and the next
// call with the same positions listens to them instead of asking again. What is told of a log is never older than the call.
func (c *Client) Fetch(ctx context.Context, from []Position) ([]Fetched, error) {
	a := answers{}
	for _, p := range from {
		if _, twice := a[p.TopicPartition]; twice {
			return nil, fault.New(fault.Invalid, "fetch asks twice for %s/%d", p.Topic, p.Partition)
		}
		a[p.TopicPartition] = Fetched{TopicPartition: p.TopicPartition, Next: p.Offset,
			Err: fault.New(fault.Unavailable, "%s/%d: its leader has not answered in time", p.Topic, p.Partition)}
	}
	if len(from) == 0 {
		pause(ctx, c.cfg.MaxWait)
		return nil, gone(ctx)
	}
	l, err := c.layout(ctx)
	if err != nil {
		pause(ctx, failurePause)
		return nil, err
	}
	led, orphans := byLeader(l, from, func(p Position) TopicPartition { return p.TopicPartition })
	for tp, err := range orphans {
		c.refresh()
		a[tp] = Fetched{TopicPartition: tp, Next: a[tp].Next, Err: err}
	}
	for _, positions := range led { // one order, whatever the caller's, so that bells are found again
		slices.SortFunc(positions, func(a, b Position) int { return compareLogs(a.TopicPartition, b.TopicPartition) })
	}
	c.fetch(ctx, led, a)
	if err := gone(ctx); err != nil {
		return nil, err
	}
	if !a.news() && a.failed() {
		pause(ctx, failurePause)
	}
	return slices.Collect(maps.Values(a)), nil
}

func (c *Client) fetch(ctx context.Context, led map[int32][]Position, a answers) {
	wait := c.cfg.MaxWait
	if len(led) > 1 {
		wait = 0
	}
	arrived := make(chan *poll, len(led))
	for leader, positions := range led {
		c.ask(leader, positions, wait, arrived)
	}
	if len(led) < 2 {
		a.gather(ctx, arrived, len(led), nil, false)
		return
	}
	a.gather(ctx, arrived, len(led), time.After(c.cfg.MaxWait), false)
	if a.news() || ctx.Err() != nil {
		return
	}
	bells, rung := []*poll{}, make(chan *poll, len(led))
	for leader, positions := range led {
		// One log that fails would have its leader answer at once.
		sound := slices.DeleteFunc(slices.Clone(positions), func(p Position) bool { return a[p.TopicPartition].Err != nil })
		if len(sound) > 0 {
			bells = append(bells, c.listen(leader, sound, rung))
		}
	}
	wait = c.cfg.MaxWait
	if a.failed() { // ask those again soon
		wait = min(wait, refreshAtMost)
	}
	a.gather(ctx, rung, len(bells), time.After(wait), true)
	c.leave(bells)
}

// answers is what a fetch knows so far of each log that it was asked for.
type answers map[TopicPartition]Fetched

// gather takes in n polls, or those that come before ctx or the time ends, or before the first that brings records.
func (a answers) gather(ctx context.Context, arrived <-chan *poll, n int, timeout <-chan time.Time, untilNews bool) {
	for range n {
		select {
		case p := <-arrived:
			for _, f := range p.result {
				// A bell can have been answered before this call began; its end of the log must not look like today's.
				if now := a[f.TopicPartition]; now.Err == nil && f.Err == nil {
					f.Start, f.End = max(f.Start, now.Start), max(f.End, now.End)
				}
				a[f.TopicPartition] = f
			}
			if untilNews && a.news() {
				return
			}
		case <-timeout:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (a answers) news() bool {
	for _, f := range a {
		if len(f.Records) > 0 {
			return true
		}
	}
	return false
}

func (a answers) failed() bool {
	for _, f := range a {
		if f.Err != nil {
			return true
		}
	}
	return false
}

// gone is the error of a call whose caller does not wait any more.
func gone(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fault.As(fault.Unavailable, context.Cause(ctx))
}
