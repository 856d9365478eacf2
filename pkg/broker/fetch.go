package broker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Fetch implements Log. With one leader it is one long poll.
//
// With several, waiting for all of them would hold the records of one until the slowest has had nothing to say for
// MaxWait. So Fetch asks all of them for what they have now and, when that is nothing, waits for the first long poll
// that brings records. The long polls of the others go on, and the next call with the same positions listens to them
// instead of asking again. The end of a log is never told as it was before the call: the first answers have it.
func (c *Client) Fetch(ctx context.Context, from []Position) ([]Fetched, error) {
	from = slices.Clone(from) // in one order, whatever the caller's, so that long polls are found again
	slices.SortFunc(from, func(a, b Position) int { return compareLogs(a.TopicPartition, b.TopicPartition) })
	a := make(answers, len(from))
	for i, p := range from {
		if i > 0 && p.TopicPartition == from[i-1].TopicPartition {
			return nil, fault.New(fault.Invalid, "fetch asks twice for %s/%d", p.Topic, p.Partition)
		}
		a[i] = Fetched{TopicPartition: p.TopicPartition, Next: p.Offset, Err: errSilent}
	}
	if len(from) == 0 {
		pause(ctx, c.cfg.MaxWait)
		return nil, gone(ctx)
	}
	m, err := c.metadata(ctx)
	if err != nil {
		pause(ctx, failurePause)
		return nil, err
	}
	led, orphans := byLeader(m, from)
	for tp, err := range orphans {
		c.refresh()
		a.of(tp).Err = err
	}
	c.fetch(ctx, led, a)
	if err := gone(ctx); err != nil {
		return nil, err
	}
	if !a.news() && a.failed() {
		pause(ctx, failurePause)
	}
	for i, f := range a {
		if errors.Is(f.Err, errSilent) {
			a[i].Err = fault.New(fault.Unavailable, "%s/%d: %w", f.Topic, f.Partition, errSilent)
		}
	}
	return a, nil
}

// errSilent is the error of a log of which this call has heard nothing.
var errSilent = errors.New("its leader has not answered in time")

// fetch asks the leaders and takes in their answers.
func (c *Client) fetch(ctx context.Context, led map[int32][]Position, a answers) {
	wait := c.cfg.MaxWait
	if len(led) > 1 {
		wait = 0
	}
	heard := make(chan *poll, len(led))
	for leader, positions := range led {
		c.polls.start(&poll{leader: leader, positions: positions, wait: wait, heard: heard}, c.fetchFrom)
	}
	if len(led) < 2 {
		a.gather(ctx, heard, len(led), nil, false)
		return
	}
	a.gather(ctx, heard, len(led), time.After(c.cfg.MaxWait), false)
	if a.news() || ctx.Err() != nil {
		return
	}
	var joined []*poll
	heard = make(chan *poll, len(led))
	for leader, positions := range led {
		// One log that fails would have its leader answer at once.
		sound := slices.DeleteFunc(slices.Clone(positions), func(p Position) bool {
			return a.of(p.TopicPartition).Err != nil
		})
		if len(sound) > 0 {
			p := &poll{leader: leader, positions: sound, wait: c.cfg.MaxWait, shared: true, heard: heard}
			joined = append(joined, c.polls.start(p, c.fetchFrom))
		}
	}
	wait = c.cfg.MaxWait
	if a.failed() { // ask those again soon
		wait = min(wait, refreshAtMost)
	}
	a.gather(ctx, heard, len(joined), time.After(wait), true)
	c.polls.leave(joined)
}

// answers is what a fetch knows so far of each log that it was asked for, sorted.
type answers []Fetched

// take takes in what came for one log.
func (a answers) take(f Fetched) {
	now := a.of(f.TopicPartition)
	// A long poll can have been answered before this call began; its end of the log must not look like today's.
	if now.Err == nil && f.Err == nil {
		f.Start, f.End = max(f.Start, now.Start), max(f.End, now.End)
	}
	*now = f
}

// of is the answer for a log that was asked for.
func (a answers) of(tp TopicPartition) *Fetched {
	i, _ := slices.BinarySearchFunc(a, tp, func(f Fetched, tp TopicPartition) int {
		return compareLogs(f.TopicPartition, tp)
	})
	return &a[i]
}

// gather takes in n polls, or those that come before ctx or the time ends, or before the first that brings records.
func (a answers) gather(ctx context.Context, arrived <-chan *poll, n int, timeout <-chan time.Time, untilNews bool) {
	for range n {
		select {
		case p := <-arrived:
			for _, f := range p.result {
				a.take(f)
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

// news is whether there are records.
func (a answers) news() bool {
	return slices.ContainsFunc(a, func(f Fetched) bool { return len(f.Records) > 0 })
}

// failed is whether a log could not be read.
func (a answers) failed() bool {
	return slices.ContainsFunc(a, func(f Fetched) bool { return f.Err != nil })
}

// gone is the error of a call whose caller does not wait any more.
func gone(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fault.As(fault.Unavailable, context.Cause(ctx))
}
