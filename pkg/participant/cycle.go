package participant

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// cycle runs all tasks of one generation of one instance: fetch, check, react, apply, publish, settle, commit. One goroutine
// owns all of it; fetches, React calls, produces and commits run beside it and report through channels.
type cycle struct {
	ctx context.Context // of the tasks; outlives the generation's until the cycle has left
	b   *behavior
	cfg Config
	st  *taskstore.Store
	gen broker.Generation

	tasks    []*task                         // by partition
	anew     map[int]bool                    // partitions whose store is to be folded from the start
	seen     atomic.Pointer[logs]            // the topics as they are now; nil: nobody asked since
	missing  string                          // topic that was deleted; empty: none
	stored   map[broker.TopicPartition]int64 // committed in this generation
	work     sync.WaitGroup
	crew     *crew // React calls
	fetched  chan fetchResult
	appended chan *appending
	commits  chan commitResult
	readings []*reading  // of chains, under way or to begin
	beside   chan func() // what was read beside the cycle, and is taken in by it

	asked      map[broker.TopicPartition]*source // what the last fetch was for
	positions  []broker.Position                 // the same, as it was sent
	fetching   bool
	requestsAt time.Time // when requests were last looked for
	retryFrom  int       // the partition whose retries come first
	inFlight   int       // produce requests
	committing bool
	refused    bool // the last commit was
	commitAt   time.Time
	idleAt     time.Time // when what nobody waits for may be written again
	over       bool      // the group said so of the generation when it was to store offsets
	leaving    bool
	noStore    *atomic.Bool
	packed     []byte // memory for what the next change writes,
	ends       []int  // and for where each order's text ends there
	status     *status
	watch      *watch
}

// serve runs one generation until its ctx ends, then leaves in order.
func (c *cycle) serve(ctx context.Context) error {
	tasksCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.ctx = tasksCtx
	defer c.close(cancel)
	if err := c.takeOver(ctx, c.partitions()); err != nil {
		if ctx.Err() != nil || fault.ClassOf(err) == fault.Conflict {
			return nil
		}
		return err
	}
	c.watch.log.Info("playing", "generation", c.gen.ID(), "partitions", len(c.tasks))
	c.work.Go(c.watchLogs)
	for {
		c.report()
		c.fetch(ctx)
		c.wait(ctx)
		if ctx.Err() != nil {
			c.leave()
			return nil
		}
		if c.over {
			return nil
		}
		c.compareLogs()
		if err := c.again(ctx); err != nil {
			if ctx.Err() != nil || fault.ClassOf(err) == fault.Conflict {
				return nil
			}
			return err
		}
		c.load(ctx)
		c.wake(ctx)
		c.readChains()
		c.apply()
		c.publish()
		c.commit()
	}
}

// partitions of this generation: partition p of every topic is assigned together.
func (c *cycle) partitions() []int {
	var ps []int
	first := c.b.topics[0]
	for _, tp := range c.gen.Assigned() {
		if tp.Topic == first {
			ps = append(ps, tp.Partition)
		}
	}
	return ps
}

// find is where the task of a partition is among the others, or belongs.
func (c *cycle) find(partition int) (i int, ok bool) {
	return slices.BinarySearchFunc(c.tasks, partition, func(t *task, p int) int { return t.partition - p })
}

// task of a partition; nil: it is not this instance's.
func (c *cycle) task(partition int) *task {
	if i, ok := c.find(partition); ok {
		return c.tasks[i]
	}
	return nil
}

// put puts a task in the place of the one that had its partition, if any.
func (c *cycle) put(t *task) {
	i, ok := c.find(t.partition)
	if !ok {
		c.tasks = slices.Insert(c.tasks, i, t)
	}
	c.tasks[i] = t
}

// again takes over the tasks that were lost, once their produce in flight has ended and if the generation still holds.
func (c *cycle) again(ctx context.Context) error {
	var ps []int
	for _, t := range c.tasks {
		if t.dead && t.inFlight == 0 {
			ps = append(ps, t.partition)
		}
	}
	if len(ps) == 0 {
		return nil
	}
	if err := c.gen.Holds(ctx); err != nil {
		if fault.ClassOf(err) == fault.Conflict {
			return err
		}
		return nil // the broker is away: ask again with the next cycle
	}
	return c.takeOver(ctx, ps)
}

// wait blocks until something happened, and takes in all that has.
func (c *cycle) wait(ctx context.Context) {
	timer := time.NewTimer(c.nap())
	defer timer.Stop()
	for more := c.happens(ctx, timer.C); more; {
		more = c.happens(ctx, nil)
	}
}

// happens takes in one thing that happened, or happens before until; nil: one that happened already.
func (c *cycle) happens(ctx context.Context, until <-chan time.Time) bool {
	select {
	case <-c.crew.news:
		c.collect()
		return true
	case f := <-c.fetched:
		c.receive(f)
		return true
	case a := <-c.appended:
		c.acknowledge(a)
		return true
	case r := <-c.commits:
		c.committed(r)
		return true
	case take := <-c.beside:
		take()
		return true
	default:
	}
	if until == nil {
		return false
	}
	select {
	case <-c.crew.news:
		c.collect()
	case f := <-c.fetched:
		c.receive(f)
	case a := <-c.appended:
		c.acknowledge(a)
	case r := <-c.commits:
		c.committed(r)
	case take := <-c.beside:
		take()
	case <-until:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

func (c *cycle) collect() {
	for _, a := range c.crew.collect() {
		c.take(a)
	}
}

// nap is how long the cycle may sleep when nothing happens.
func (c *cycle) nap() time.Duration {
	now := time.Now()
	next := now.Add(compareEvery)
	sooner := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	if c.leaving { // nothing is begun any more: only answers are waited for
		return backoffMin
	}
	if !c.committing && !c.commitAt.IsZero() {
		sooner(c.commitAt)
	}
	for _, t := range c.tasks {
		if t.dead || t.resend != nil || len(t.loading) > 0 {
			sooner(now.Add(backoffMin))
			continue
		}
		sooner(t.compared.Add(compareEvery))
		if t.stirred() {
			sooner(c.idleAt)
		}
		for _, at := range t.retries {
			sooner(at)
		}
		if top, ok := t.timers.next(); ok {
			sooner(top.at)
		}
		if len(t.due)+len(t.dueSoon)+len(t.retryDue) > 0 {
			sooner(now.Add(backoffMin))
		}
		for _, l := range t.own {
			if l.tries > 0 && !l.busy {
				sooner(l.retryAt)
			}
		}
	}
	return max(0, next.Sub(now))
}

// wake lets lanes go on whose back-off is over, parks what was held too long, and fires deadlines and retries.
func (c *cycle) wake(ctx context.Context) {
	now := time.Now()
	for _, t := range c.tasks {
		if t.dead {
			continue
		}
		for o, at := range t.retries {
			if !at.After(now) {
				delete(t.retries, o)
				o.lane.retryAt = time.Time{}
				c.pump(t, o)
			}
		}
		for d, o := range t.holds {
			if now.Sub(d.heldAt) >= c.cfg.HoldLimit && !o.lane.busy() {
				c.park(t, o, d, fault.New(fault.NotYet, "the cause never came: %w", d.failed))
				c.pump(t, o)
			}
		}
		for {
			id, ok := t.timers.pop(now)
			if !ok {
				break
			}
			if _, parked := t.parked[id]; parked {
				t.retryDue = append(t.retryDue, id)
			} else {
				t.due = append(t.due, id)
			}
		}
	}
	if c.cfg.Clock.Err() == nil {
		c.fireDeadlines(ctx, now)
	}
	c.startRetries(ctx)
}

// report tells readiness what the tasks are doing.
func (c *cycle) report() {
	r := &report{leaving: c.leaving}
	for _, t := range c.tasks {
		p := t.partition
		switch {
		case t.dead:
			r.why = append(r.why, "partition "+strconv.Itoa(p)+" is being folded")
		case t.stopped != nil:
			r.why = append(r.why, "partition "+strconv.Itoa(p)+" is stopped: too many dead letters")
		case t.mostlyWaiting():
			r.why = append(r.why, "partition "+strconv.Itoa(p)+": most orders wait for something unavailable")
		}
		for _, l := range t.own {
			if l.refused != nil {
				r.why = append(r.why, "partition "+strconv.Itoa(p)+": "+l.Topic+" does not take what is published: "+firstLine(l.refused.Error()))
			}
		}
		for _, s := range t.sources {
			if s.denied != nil {
				r.why = append(r.why, "partition "+strconv.Itoa(p)+": "+firstLine(s.denied.Error()))
			}
		}
	}
	if c.noStore.Load() {
		r.why = append(r.why, "redis is unavailable")
	}
	if err := c.cfg.Clock.Err(); err != nil {
		r.why = append(r.why, err.Error())
	}
	if c.missing != "" {
		r.why = append(r.why, "topic "+c.missing+" does not exist")
	}
	c.measure()
	c.watch.tell()
	c.status.set(r)
}
