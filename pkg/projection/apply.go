package projection

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// apply sends every change, and a comparison for each task that has none for a while: all in one pipeline.
func (c *cycle[D]) apply(ctx context.Context) error {
	var tasks []*task
	var changes []taskstore.Change
	began := time.Now()
	for _, t := range c.tasks {
		if t.taken && t.change == nil && began.Sub(t.compared) >= compareEvery {
			t.change = t.next()
		}
		if t.taken && t.change != nil {
			if !t.change.Retry {
				c.counts(t, t.change)
			}
			tasks, changes = append(tasks, t), append(changes, t.change.Change)
		}
	}
	if len(tasks) == 0 {
		return nil
	}
	sctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	outcomes := c.store.Apply(sctx, changes)
	c.watch.applyTook(began)
	var failed error
	for i, out := range outcomes {
		t := tasks[i]
		switch {
		case out.Err != nil:
			t.change.Retry, failed = true, &outage{partRedis, out.Err}
		case out.Verdict != taskstore.Applied:
			c.watch.lost(t.partition, out.Verdict)
			t.drop()
			c.doubt = true
		default:
			c.watch.applied(t.change)
			if t.change.stored != nil {
				t.change.stored()
			}
			t.done(began)
		}
	}
	return failed
}

// holds asks the group, after a task was lost, whether this generation goes on. Only then may the task be taken
// over again.
func (c *cycle[D]) holds(ctx context.Context) error {
	if !c.doubt {
		return nil
	}
	err := c.gen.Holds(ctx)
	switch {
	case err == nil:
		c.doubt = false
		return nil
	case fault.ClassOf(err) == fault.Conflict:
		return errLeave
	}
	return &outage{partKafka, err}
}

// outage is an error that passes by itself: the step is tried again.
type outage struct {
	part string
	err  error
}

func (o *outage) Error() string { return o.err.Error() }
func (o *outage) Unwrap() error { return o.err }

// commit tells the group how far the read model is, for whoever looks at the lag. A generation that is over
// is left; any other failure waits for the next time.
func (c *cycle[D]) commit(ctx context.Context) error {
	if time.Since(c.committed) < c.cfg.CommitEvery {
		return nil
	}
	c.committed = time.Now()
	moved := map[broker.TopicPartition]int64{}
	for _, t := range c.tasks {
		for _, s := range t.sources {
			if t.taken && s.applied > 0 && c.offsets[s.TopicPartition] != s.applied {
				moved[s.TopicPartition] = s.applied
			}
		}
	}
	if len(moved) == 0 {
		return nil
	}
	ctx, ended := telemetry.Commit(ctx, c.b.Name)
	err := c.gen.Commit(ctx, moved)
	ended(err)
	if err == nil {
		maps.Copy(c.offsets, moved)
		return nil
	}
	c.watch.commitFailed(err)
	if fault.ClassOf(err) == fault.Conflict {
		return errLeave
	}
	return nil
}

// leave commits for the last time; the step under way is finished already.
func (c *cycle[D]) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	c.committed = time.Time{}
	_ = c.commit(ctx) // it is reported, and the next owner starts from the positions in Redis
	c.set(partTasks, nil)
}

// waitingTasks says how many tasks are not taken over.
func (c *cycle[D]) waitingTasks() error {
	n := 0
	for _, t := range c.tasks {
		if !t.taken {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d partitions are not taken over yet", n, len(c.tasks))
}
