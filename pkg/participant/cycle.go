package participant

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/store"
)

// cycle runs all tasks of one generation of one instance: fetch, check, react, apply, publish, settle, commit. One goroutine
// owns all of it; fetches, React calls, produces and commits run beside it and report through channels.
type cycle struct {
	ctx context.Context // of the tasks; outlives the generation's until the cycle has left
	b   *behavior
	cfg Config
	st  *store.Store
	gen broker.Generation
	ttl string // of an order's hash, in ms

	tasks    map[int]*task
	work     sync.WaitGroup
	slots    chan struct{} // one per React call under way
	answers  chan answer
	fetched  chan fetchResult
	appended chan *appending
	commits  chan error

	fetching   bool
	inFlight   int // produce requests
	committing bool
	commitAt   time.Time
	leaving    bool
	noStore    *atomic.Bool
	status     *status
	watch      *watch
}

type fetchResult struct {
	from map[broker.TopicPartition]*source
	got  []broker.Fetched
	err  error
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
	slog.Info("playing", "participant", c.b.name, "generation", c.gen.ID(), "partitions", len(c.tasks))
	for {
		c.report()
		c.fetch(ctx)
		c.wait(ctx)
		if ctx.Err() != nil {
			c.leave()
			return nil
		}
		if err := c.again(ctx); err != nil {
			if ctx.Err() != nil || fault.ClassOf(err) == fault.Conflict {
				return nil
			}
			return err
		}
		c.load(ctx)
		c.wake(ctx)
		c.apply()
		c.publish()
		c.commit()
	}
}

// partitions of this generation: partition p of every topic is assigned together.
func (c *cycle) partitions() []int {
	var ps []int
	first := c.b.topics()[0]
	for _, tp := range c.gen.Assigned() {
		if tp.Topic == first {
			ps = append(ps, tp.Partition)
		}
	}
	return ps
}

// again takes over the tasks that were lost, once their produce in flight has ended and if the generation still holds.
func (c *cycle) again(ctx context.Context) error {
	var ps []int
	for p, t := range c.tasks {
		if t.dead && t.inFlight == 0 {
			ps = append(ps, p)
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

// fetch starts one long poll for all sources that have room.
func (c *cycle) fetch(ctx context.Context) {
	if c.fetching || c.leaving {
		return
	}
	from := map[broker.TopicPartition]*source{}
	var ps []broker.Position
	for _, t := range c.tasks {
		if t.dead || t.stopped || len(t.loading) > 0 || t.unacked() >= maxWindowEvents || t.mostlyWaiting() {
			continue
		}
		for _, s := range t.sources {
			if !s.full() {
				from[s.TopicPartition] = s
				ps = append(ps, broker.Position{TopicPartition: s.TopicPartition, Offset: s.cursor, MaxBytes: fetchBytes})
			}
		}
	}
	if len(ps) == 0 {
		return
	}
	c.fetching = true
	c.work.Go(func() {
		got, err := c.cfg.Log.Fetch(ctx, ps)
		c.fetched <- fetchResult{from: from, got: got, err: err}
	})
}

// wait blocks until something happened, and takes in all that has.
func (c *cycle) wait(ctx context.Context) {
	timer := time.NewTimer(c.nap())
	defer timer.Stop()
	done := ctx.Done()
	for blocking := true; ; blocking = false {
		if !blocking {
			select {
			case a := <-c.answers:
				c.take(a)
			case f := <-c.fetched:
				c.receive(f)
			case a := <-c.appended:
				c.acknowledge(a)
			case err := <-c.commits:
				c.committed(err)
			default:
				return
			}
			continue
		}
		select {
		case a := <-c.answers:
			c.take(a)
		case f := <-c.fetched:
			c.receive(f)
		case a := <-c.appended:
			c.acknowledge(a)
		case err := <-c.commits:
			c.committed(err)
		case <-timer.C:
		case <-done:
			return
		}
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
	if !c.commitAt.IsZero() {
		sooner(c.commitAt)
	}
	for _, t := range c.tasks {
		if t.dead || t.resend != nil || len(t.loading) > 0 {
			sooner(now.Add(backoffMin))
			continue
		}
		sooner(t.compared.Add(compareEvery))
		for _, at := range t.retries {
			sooner(at)
		}
		if top, ok := t.timers.next(); ok {
			sooner(top.at)
		}
		if len(t.due) > 0 {
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

// receive takes in what a fetch brought.
func (c *cycle) receive(f fetchResult) {
	c.fetching = false
	if f.err != nil {
		return // the client says it in one line, and waits before it answers again
	}
	for _, g := range f.got {
		s := f.from[g.TopicPartition]
		t := c.tasks[g.Partition]
		if t == nil || t.dead || t.source(g.Topic) != s {
			continue // of a task that was lost since
		}
		if errors.Is(g.Err, broker.ErrOutOfRange) {
			c.outOfRange(s, g)
			continue
		}
		if g.Err != nil {
			continue
		}
		for _, r := range g.Records {
			d := newDelivery(s, r)
			s.add(d)
			t.loading = append(t.loading, d)
		}
		s.cursor, s.end = g.Next, g.End
		c.watch.consumed(g)
	}
}

// outOfRange goes on at the log's start: what lay before is gone by retention, or the log is another one.
func (c *cycle) outOfRange(s *source, g broker.Fetched) {
	slog.Error("records are gone that were never read; going on at the log's start", "participant", c.b.name, "topic", s.Topic,
		"partition", s.Partition, "offset", s.cursor, "start", g.Start)
	c.watch.outOfRange(s.Topic)
	s.cursor = g.Start
}

// load brings the orders of what was received into memory and puts each delivery into its lane.
func (c *cycle) load(ctx context.Context) {
	want := map[*task][]string{}
	for _, t := range c.tasks {
		if !t.dead {
			for _, d := range t.loading {
				want[t] = append(want[t], d.order)
			}
		}
	}
	if len(want) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := c.loadOrders(ctx, want); err != nil {
		if fault.ClassOf(err) != fault.Unavailable {
			for t := range want {
				c.lose(t, "unreadable")
			}
		} else if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.storeDown(err)
		}
		return
	}
	for t := range want {
		list := t.loading
		t.loading = nil
		for _, d := range list {
			o := t.orders[d.order]
			o.lane.queue = append(o.lane.queue, d)
		}
		for _, d := range list {
			c.pump(t, t.orders[d.order])
		}
	}
}

// wake lets lanes go on whose back-off is over, parks what was held too long, and fires deadlines.
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
			if now.Sub(d.heldAt) >= c.cfg.HoldLimit && o.lane.running == nil && !o.lane.settling {
				c.park(t, o, d, fault.New(fault.NotYet, "the cause never came: %w", d.failed))
				c.pump(t, o)
			}
		}
		for {
			id, ok := t.timers.pop(now)
			if !ok {
				break
			}
			t.due = append(t.due, id)
			t.dueEnds = nil
		}
	}
	c.fireDeadlines(ctx, now)
}

// fireDeadlines delivers the deadlines that have passed, as local events, once the inputs are read up to the ends they had
// after the deadlines passed: after an outage, a waiting answer comes first. One at a parked order waits.
func (c *cycle) fireDeadlines(ctx context.Context, now time.Time) {
	var ask []broker.TopicPartition
	for _, t := range c.tasks {
		if !t.dead && len(t.due) > 0 && t.dueEnds == nil {
			for _, s := range t.sources {
				ask = append(ask, s.TopicPartition)
			}
		}
	}
	if len(ask) > 0 {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		ends, err := c.cfg.Log.Ends(ctx, ask)
		if err != nil {
			return
		}
		for _, t := range c.tasks {
			if !t.dead && len(t.due) > 0 && t.dueEnds == nil {
				t.dueEnds = ends
			}
		}
	}
	for _, t := range c.tasks {
		if t.dead || len(t.due) == 0 || t.dueEnds == nil || !t.readUpTo(t.dueEnds) {
			continue
		}
		due := t.due
		t.due, t.dueEnds = nil, nil
		if err := c.loadOrders(ctx, map[*task][]string{t: due}); err != nil {
			t.due = due
			continue
		}
		for _, id := range due {
			c.deadline(t, t.orders[id], now)
		}
	}
}

func (c *cycle) deadline(t *task, o *order, now time.Time) {
	at, ok := c.b.deadline(o.state)
	switch {
	case !ok || at.After(now) || o.seen[deadlineID(o.id, at)]:
		t.timers.clear(o.id)
		t.ops = append(t.ops, store.Op{Cmd: "ZREM", Key: "timers", Args: []string{o.id}})
		t.arm(c.b, o)
	case len(o.parked) > 0:
		t.due = append(t.due, o.id)
	default:
		o.lane.queue = append(o.lane.queue, localEvent(c.b, t.partition, o.id, at))
		c.pump(t, o)
	}
}

// readUpTo says whether every input is read, and in its lane, up to an end.
func (t *task) readUpTo(ends map[broker.TopicPartition]int64) bool {
	if len(t.loading) > 0 {
		return false
	}
	for _, s := range t.sources {
		if s.cursor < ends[s.TopicPartition] {
			return false
		}
	}
	return true
}

// unacked is how many outbox entries wait for the broker.
func (t *task) unacked() int {
	n := 0
	for _, e := range t.outbox {
		if !e.acked {
			n++
		}
	}
	return n
}

// mostlyWaiting says that most lanes of this task wait for something unavailable: fetching more would only fill memory.
func (t *task) mostlyWaiting() bool {
	waiting := 0
	for o := range t.retries {
		if o.lane.waiting {
			waiting++
		}
	}
	pending := 0
	for _, s := range t.sources {
		pending += s.pending
	}
	return waiting > 16 && 2*waiting > pending
}

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
		c.commits <- c.gen.Commit(ctx, offsets)
	})
}

// offsets are those that moved since they were committed last.
func (c *cycle) offsets() map[broker.TopicPartition]int64 {
	out := map[broker.TopicPartition]int64{}
	for _, t := range c.tasks {
		if t.dead {
			continue
		}
		for _, s := range t.sources {
			if at := s.commitable(t.settled); at > s.committed && (at > 0 || s.committed >= 0) {
				out[s.TopicPartition] = at
				s.committed = at
			}
		}
	}
	return out
}

func (c *cycle) committed(err error) {
	c.committing = false
	if err == nil {
		return
	}
	for _, t := range c.tasks { // tell them again with the next commit
		for _, s := range t.sources {
			s.committed = -1
		}
	}
	c.watch.commitFailed(err)
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
	if offsets := c.offsets(); len(offsets) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		if err := c.gen.Commit(ctx, offsets); err != nil {
			c.watch.commitFailed(err)
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
		if t.running > 0 || len(t.ready) > 0 || len(t.dirty) > 0 || t.resend != nil || t.unacked() > 0 {
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
		case <-c.answers:
		case <-c.fetched:
		case <-c.appended:
		case <-c.commits:
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

// report tells readiness what the tasks are doing.
func (c *cycle) report() {
	r := &report{leaving: c.leaving}
	for p, t := range c.tasks {
		switch {
		case t.dead:
			r.why = append(r.why, "partition "+strconv.Itoa(p)+" is being folded")
		case t.stopped:
			r.why = append(r.why, "partition "+strconv.Itoa(p)+" is stopped: too many dead letters")
		case t.mostlyWaiting():
			r.why = append(r.why, "partition "+strconv.Itoa(p)+": most orders wait for something unavailable")
		}
	}
	if c.noStore.Load() {
		r.why = append(r.why, "redis is unavailable")
	}
	c.status.set(r)
}
