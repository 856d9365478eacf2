package projection

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

const (
	// compareEvery is how often an idle task asks the store whether it is still the same one: a wipe is noticed by
	// that.
	compareEvery = 800 * time.Millisecond
	storeTimeout = 5 * time.Second
	leaveTimeout = 3 * time.Second
)

// cycle folds copies of partitions in one loop, so that the number of round trips does not grow with the
// partitions: the live copies of one generation, or the shadows of them. While it applies, the next fetch is under
// way. All that is not said to be beside the cycle runs in the goroutine of run.
type cycle[D any] struct {
	*Projection[D]
	gen       broker.Generation
	copies    []string         // by partition: name of the copy that is folded
	store     *taskstore.Store // of those copies
	tasks     []*task          // by partition
	doubt     bool             // a task was lost: perhaps the generation is over
	news      chan func()      // what was done beside the cycle: one each for a fetch and identities
	asks      chan func()      // see do
	ended     chan struct{}
	fetching  fetching
	storeWait *backoff
	storeAt   time.Time // not before
	committed time.Time
	offsets   map[broker.TopicPartition]int64 // as last committed
	recents   map[int]*recent[D]              // by partition
	writes    Writes
	text      []byte // memory for those of the next step
}

// newCycle returns the cycle of a generation, which takes the partitions over when it runs.
func newCycle[D any](p *Projection[D], g broker.Generation) *cycle[D] {
	c := &cycle[D]{
		Projection: p, gen: g, copies: make([]string, p.cfg.Partitions),
		news: make(chan func(), 2), asks: make(chan func()), ended: make(chan struct{}),
		fetching: fetching{wait: newBackoff()}, storeWait: newBackoff(),
		offsets: map[broker.TopicPartition]int64{}, committed: time.Now(), recents: map[int]*recent[D]{},
	}
	c.store = p.base.Copies(c.copies)
	for _, tp := range g.Assigned() {
		c.add(tp.Partition)
	}
	return c
}

// add makes the task of a partition, once.
func (c *cycle[D]) add(partition int) {
	if i, there := c.slot(partition); !there {
		c.tasks = slices.Insert(c.tasks, i, newTask(partition, c.topics))
	}
}

// remove ends the task of a partition.
func (c *cycle[D]) remove(partition int) {
	if i, there := c.slot(partition); there {
		c.tasks = slices.Delete(c.tasks, i, i+1)
		delete(c.recents, partition)
	}
}

// run folds until ctx ends or the group says that the generation is over.
func (c *cycle[D]) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(c.ended)
	fetchCtx, stopFetch := context.WithCancel(ctx)
	defer stopFetch()
	defer c.set(partGroup, errors.New("is rejoining its consumer group"))
	defer c.watch.measure(nil)
	c.set(partGroup, nil)
	c.watch.joined(c.gen.ID(), len(c.tasks))
	c.watchLogs(fetchCtx, &wg)
	for ctx.Err() == nil {
		more, err := c.step(ctx)
		if errors.Is(err, errLeave) {
			break
		}
		if err != nil {
			return err
		}
		c.fetch(fetchCtx, &wg)
		c.watch.measure(c.tasks)
		c.await(ctx, more)
	}
	c.leave(ctx)
	return nil
}

// step takes over what is not taken, applies what is there, and commits. more: there is something to do at once.
func (c *cycle[D]) step(ctx context.Context) (more bool, err error) {
	if time.Now().Before(c.storeAt) {
		return false, nil
	}
	if err = c.takeOver(ctx); err == nil {
		err = c.build(ctx)
	}
	if err == nil {
		err = c.apply(ctx)
	}
	var out *outage
	switch {
	case ctx.Err() != nil:
		return false, nil
	case err == nil:
		c.storeWait.reset()
		c.set(partRedis, nil)
	case errors.As(err, &out):
		c.storeAt = time.Now().Add(c.storeWait.after())
		c.set(out.part, out.err)
		return false, nil
	default:
		return false, err
	}
	now := time.Now()
	more = slices.ContainsFunc(c.tasks, func(t *task) bool { return !t.taken || t.ready(now) })
	return more, c.commit(ctx)
}

// await waits for news, a time to act, or the end; not at all when there is more to do.
func (c *cycle[D]) await(ctx context.Context, more bool) {
	if more {
		select {
		case tell := <-c.news:
			tell()
		case ask := <-c.asks:
			ask()
		default:
		}
		return
	}
	t := time.NewTimer(c.nextWake(time.Now()))
	defer t.Stop()
	select {
	case tell := <-c.news:
		tell()
	case ask := <-c.asks:
		ask()
	case <-t.C:
	case <-ctx.Done():
	}
}

// do calls f in the cycle's goroutine, between two steps, from another one; not when the cycle has ended.
func (c *cycle[D]) do(f func()) {
	done := make(chan struct{})
	select {
	case c.asks <- func() { f(); close(done) }:
		<-done
	case <-c.ended:
	}
}

// nextWake is how long nothing is to be done without a fetch.
func (c *cycle[D]) nextWake(now time.Time) time.Duration {
	wake := compareEvery
	soon := func(at time.Time) { wake = min(wake, max(at.Sub(now), time.Millisecond)) }
	for _, t := range c.tasks {
		if t.taken {
			soon(t.compared.Add(compareEvery))
		}
	}
	if c.storeAt.After(now) { // until then no task is looked at
		wake = c.storeAt.Sub(now)
	}
	if c.fetching.at.After(now) {
		soon(c.fetching.at)
	}
	return wake
}

// find returns the task and source of a log; nil: it is not this cycle's.
func (c *cycle[D]) find(tp broker.TopicPartition) (*task, int) {
	return c.taskOf(tp.Partition), slices.Index(c.topics, tp.Topic)
}

// taskOf a partition; nil: it is not this cycle's.
func (c *cycle[D]) taskOf(partition int) *task {
	if i, there := c.slot(partition); there {
		return c.tasks[i]
	}
	return nil
}

// slot is where the task of a partition is, or would be, among the tasks.
func (c *cycle[D]) slot(partition int) (i int, there bool) {
	return slices.BinarySearchFunc(c.tasks, partition, func(t *task, p int) int { return t.partition - p })
}
