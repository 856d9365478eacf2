package projection

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

const (
	// compareEvery is how often an idle task asks the store whether it is still the same one: a wipe is noticed by that.
	compareEvery = 800 * time.Millisecond
	storeTimeout = 5 * time.Second
	leaveTimeout = 3 * time.Second
)

// cycle is one generation of one instance: one loop for all its tasks, so that the number of round trips does not grow with
// the partitions. While it applies, the next fetch is under way.
type cycle[D any] struct {
	*Projection[D]
	gen       broker.Generation
	tasks     []*task
	doubt     bool // a task was lost: perhaps the generation is over
	news      chan func()
	live      fetcher // what is live and what is beside it do not wait for each other's logs
	beside    fetcher
	pass      pass
	refolds   refolding[D]
	storeWait *backoff
	storeAt   time.Time // not before
	heard     time.Time // when requests were last looked for
	notesAt   time.Time // when notes were last looked for
	noNotes   error     // why some could not be read then
	committed time.Time
	offsets   map[broker.TopicPartition]int64 // as last committed
	recents   map[int]*[2]recent[D]           // by partition: of the live space, and of that beside it
	writes    Writes
	text      []byte // memory for those of the next step
}

// fetcher reads logs, one request at a time.
type fetcher struct {
	busy bool
	wait *backoff
	at   time.Time // not before
}

type fetchResult struct {
	logs   []broker.Fetched
	owners map[int]string // who asked, by partition: what was read for an earlier claim is dropped
	notes  bool           // were asked for too
	err    error
}

func newCycle[D any](p *Projection[D], g broker.Generation) *cycle[D] {
	c := &cycle[D]{
		Projection: p, gen: g, news: make(chan func(), 4), storeWait: newBackoff(),
		live: fetcher{wait: newBackoff()}, beside: fetcher{wait: newBackoff()},
		refolds: refolding[D]{wait: newBackoff(), ready: map[string][]*order[D]{}},
		offsets: map[broker.TopicPartition]int64{}, committed: time.Now(), recents: map[int]*[2]recent[D]{},
	}
	seen := map[int]bool{}
	for _, tp := range g.Assigned() {
		if !seen[tp.Partition] {
			seen[tp.Partition] = true
			c.tasks = append(c.tasks, newTask(tp.Partition, p.topics))
		}
	}
	slices.SortFunc(c.tasks, func(a, b *task) int { return a.partition - b.partition })
	return c
}

// run serves the generation until ctx ends or the group says that it is over.
func (c *cycle[D]) run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
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
		c.fetchBeside(fetchCtx, &wg)
		c.inspect(fetchCtx, &wg)
		c.foldAgain(fetchCtx, &wg)
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
		err = c.listen(ctx)
	}
	if err == nil {
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
	more = slices.ContainsFunc(c.tasks, func(t *task) bool { return !t.taken || t.ready() })
	return more, c.commit(ctx)
}

// await waits for a fetch, a time to act, or the end; not at all when there is more to do.
func (c *cycle[D]) await(ctx context.Context, more bool) {
	if more {
		select {
		case tell := <-c.news:
			tell()
		default:
		}
		return
	}
	t := time.NewTimer(c.nextWake(time.Now()))
	defer t.Stop()
	select {
	case tell := <-c.news:
		tell()
	case <-t.C:
	case <-ctx.Done():
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
	soon(c.heard.Add(c.hearEvery))
	for _, at := range []time.Time{c.live.at, c.beside.at, c.pass.at, c.refolds.at} {
		if at.After(now) {
			soon(at)
		}
	}
	return wake
}

// notesEvery is how often notes are looked for while events come: each log has its price in every fetch that asks for it. Where no events
// come, the long poll listens to notes as well.
const notesEvery = 250 * time.Millisecond

// fetch starts reading every log that has room, when nothing is being read.
func (c *cycle[D]) fetch(ctx context.Context, wg *sync.WaitGroup) {
	if !c.live.free() {
		return
	}
	ps := c.positions(0, len(c.b.Topics), make([]broker.Position, 0, len(c.tasks)*len(c.topics)))
	notes := len(ps) == 0 || time.Since(c.notesAt) >= notesEvery
	if notes {
		ps = c.positions(len(c.b.Topics), len(c.topics), ps)
		c.notesAt = time.Now()
	}
	owners := make(map[int]string, len(c.tasks))
	for _, t := range c.tasks {
		owners[t.partition] = t.owner
	}
	c.poll(ctx, wg, &c.live, ps, func(logs []broker.Fetched, err error) {
		c.took(ctx, fetchResult{logs: logs, owners: owners, notes: notes, err: err})
	})
}

// positions adds where to go on in some of the topics.
func (c *cycle[D]) positions(topic, end int, ps []broker.Position) []broker.Position {
	for ; topic < end; topic++ {
		for _, t := range c.tasks {
			if s := t.sources[topic]; t.taken && s.pending < maxPending {
				ps = append(ps, broker.Position{TopicPartition: s.TopicPartition, Offset: s.cursor, MaxBytes: fetchBytes})
			}
		}
	}
	return ps
}

// free says that a fetch may begin.
func (f *fetcher) free() bool { return !f.busy && !time.Now().Before(f.at) }

// poll asks for logs in the background, by a fetcher that is free; took hears in the cycle what came.
func (c *cycle[D]) poll(ctx context.Context, wg *sync.WaitGroup, f *fetcher, from []broker.Position, took func([]broker.Fetched, error)) {
	if len(from) == 0 {
		return
	}
	f.busy = true
	wg.Go(func() {
		ended := telemetry.Poll(ctx, c.b.Name)
		logs, err := c.cfg.Log.Fetch(ctx, from)
		ended(logs, err)
		c.news <- func() {
			f.busy = false
			took(logs, err)
		}
	})
}

// took queues what a fetch brought.
func (c *cycle[D]) took(ctx context.Context, f fetchResult) {
	err, records := f.err, 0
	if f.notes {
		c.noNotes = nil
	}
	for _, l := range f.logs {
		t, i := c.find(l.TopicPartition)
		if t == nil || !t.taken || t.owner != f.owners[l.Partition] {
			continue
		}
		failed := l.Err
		switch {
		case errors.Is(l.Err, broker.ErrOutOfRange):
			failed = c.outOfRange(ctx, t, i)
		case l.Err == nil:
			t.sources[i].beyond = time.Time{}
			t.add(i, l)
			records += len(l.Records)
			t.sources[i].end = l.End
			if c.b.isNote(i) && l.Next < l.End {
				c.notesAt = time.Time{} // there are more
			}
		}
		switch {
		case failed == nil:
		case c.b.isNote(i):
			c.noNotes = failed
		default:
			err = failed
		}
	}
	err = cmp.Or(err, c.noNotes)
	c.fetched(ctx, &c.live, records, err)
}

// fetched says how the broker is, and waits a little when nothing came because of an error.
func (c *cycle[D]) fetched(ctx context.Context, f *fetcher, records int, err error) {
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		f.wait.reset()
		c.set(partKafka, nil)
		return
	}
	c.set(partKafka, err)
	if records == 0 {
		f.at = time.Now().Add(f.wait.after())
	}
}

// outOfRange finds out why a log does not hold the cursor. What retention has taken is passed over and counted. A log that
// ends before the cursor is another log than the one that was folded: everything is folded again.
func (c *cycle[D]) outOfRange(ctx context.Context, t *task, i int) error {
	s := t.sources[i]
	logs := []broker.TopicPartition{s.TopicPartition}
	starts, err := c.cfg.Log.Starts(ctx, logs)
	if err != nil {
		return err
	}
	ends, err := c.cfg.Log.Ends(ctx, logs)
	if err != nil {
		return err
	}
	start, end := starts[s.TopicPartition], ends[s.TopicPartition]
	switch {
	case s.cursor < start:
		c.watch.skipped(s.TopicPartition, s.cursor, start)
		t.skip(i, start)
	case s.cursor > end && s.beyond.IsZero():
		s.beyond = time.Now()
		fallthrough
	case s.cursor > end && time.Since(s.beyond) < c.beyondFor:
		return fault.New(fault.Unavailable, "%s/%d ends at %d, before what was read of it, %d", s.Topic, s.Partition, end, s.cursor)
	case s.cursor > end:
		return c.startOver(ctx, t)
	}
	return nil
}

func (c *cycle[D]) find(tp broker.TopicPartition) (*task, int) {
	return c.taskOf(tp.Partition), slices.Index(c.topics, tp.Topic)
}

// taskOf a partition; nil: it is not this instance's.
func (c *cycle[D]) taskOf(partition int) *task {
	i, ok := slices.BinarySearchFunc(c.tasks, partition, func(t *task, p int) int { return t.partition - p })
	if !ok {
		return nil
	}
	return c.tasks[i]
}
