package participant

import (
	"context"
	"maps"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// commit stores offsets with the group, beside the cycle, every CommitEvery.
func (c *cycle) commit() {
	now := time.Now()
	if c.committing || now.Before(c.commitAt) {
		return
	}
	offsets := c.offsets()
	if len(offsets) == 0 {
		c.commitAt = time.Time{}
		return
	}
	c.commitAt = now.Add(c.cfg.CommitEvery)
	c.committing = true
	c.work.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, storeTimeout)
		defer cancel()
		c.commits <- commitResult{offsets, c.store(ctx, offsets)}
	})
}

// store commits offsets with the generation's own id.
func (c *cycle) store(ctx context.Context, offsets map[broker.TopicPartition]int64) error {
	ctx, ended := telemetry.Commit(ctx, c.b.name)
	err := c.gen.Commit(ctx, offsets)
	ended(err)
	return err
}

// What stands for an offset that a group has committed.
const (
	uncommitted = -1 // none
	untold      = -2 // not known, or of a log that is gone: the next commit says where reading is, 0 as well
)

// offsets are those that moved since they were committed last.
func (c *cycle) offsets() map[broker.TopicPartition]int64 {
	out := map[broker.TopicPartition]int64{}
	for _, t := range c.tasks {
		if t.dead || t.settled < t.inherited {
			continue
		}
		for _, s := range t.sources {
			if at := s.commitable(t.settled); at > s.committed && (at > 0 || s.committed == untold) {
				out[s.TopicPartition] = at
				s.committed = at
			}
		}
	}
	return out
}

type commitResult struct {
	offsets map[broker.TopicPartition]int64
	err     error
}

func (c *cycle) committed(r commitResult) {
	c.committing = false
	failing := c.refused
	if c.refused = r.err != nil; !c.refused {
		maps.Copy(c.stored, r.offsets)
		return
	}
	c.over = fault.ClassOf(r.err) == fault.Conflict
	for _, t := range c.tasks { // tell them again with the next commit
		for _, s := range t.sources {
			s.committed = untold
		}
	}
	if !failing { // one line for a row of them: while a topic is away, each is refused
		c.watch.log.Warn("offsets not committed", "error", r.err)
	}
}

// leave finishes what is in flight, publishes it, commits it: no new work, and nothing twice.
func (c *cycle) leave() {
	c.leaving = true
	c.report()
	until := time.Now().Add(c.cfg.LeaveWithin)
	for time.Now().Before(until) {
		c.apply()
		c.publish()
		if c.quiet() {
			break
		}
		ctx, cancel := context.WithDeadline(context.Background(), minTime(until, time.Now().Add(100*time.Millisecond)))
		c.wait(ctx)
		cancel()
	}
	for c.committing {
		c.committed(<-c.commits)
	}
	c.apply()
	c.watch.tell()
	if offsets := c.offsets(); len(offsets) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		if err := c.store(ctx, offsets); err != nil {
			c.watch.log.Warn("offsets not committed", "error", err)
		}
	}
}

// quiet says that nothing is running, nothing waits to be applied or published.
func (c *cycle) quiet() bool {
	if c.inFlight > 0 {
		return false
	}
	for _, t := range c.tasks {
		if t.dead {
			continue
		}
		if t.running > 0 || len(t.ready) > 0 || len(t.touched) > 0 || t.resend != nil || t.unacked() > 0 {
			return false
		}
	}
	return true
}

// close ends every React call and waits for all goroutines.
func (c *cycle) close(cancel context.CancelFunc) {
	c.leaving = true
	cancel()
	for _, t := range c.tasks {
		t.cancel()
	}
	done := make(chan struct{})
	go func() { c.work.Wait(); close(done) }()
	for {
		select {
		case <-c.fetched:
		case <-c.appended:
		case <-c.beside:
		case r := <-c.commits:
			c.committed(r)
		case <-done:
			c.status.set(nil)
			return
		}
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
