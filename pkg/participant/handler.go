package participant

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/participant/internal/workers"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// handler is what a participant does with the partitions that the engine owns: check, react, decide, publish.
type handler struct{ *cycle }

var _ task.Handler[*partition] = handler{}

func newHandler(e *engine, b *behavior, cfg Config, w *watch) handler {
	return handler{&cycle{engine: e, b: b, cfg: cfg, watch: w, pool: workers.New(cfg.Concurrency, e.Go, e.Wake)}}
}

// New implements task.Handler.
func (h handler) New(p *task.Partition) *partition { return newPartition(p, h.cycle) }

// Locate implements task.Handler: what a participant stores is always in the same place.
func (h handler) Locate(context.Context, []*partition) error { return nil }

// Usable implements task.Handler: what another version folded is folded again.
func (h handler) Usable(_ *partition, version string) bool { return version == h.b.foldVersion }

// Counted implements task.Handler. Redis can lose some keys and keep the others: evicted, or deleted by another tenant.
// So the store is asked whether all keys are there that the change before left there: those of the generations that it
// has and will have among them. What has a key for each order is missed where it is used.
func (h handler) Counted(t *partition) []string {
	if t.generation.Number == 0 { // at the claim
		nextGeneration(t)
	}
	now := t.generation.Number
	stored, ok := t.Stored[fieldGeneration]
	if !ok {
		stored = now
	}
	if of := [2]int64{stored, now}; t.counted == nil || t.countedOf != of {
		t.counted, t.countedOf = orders.Counted(stored, now), of
	}
	return t.counted
}

// Spared implements task.Handler: what admission remembers of requests outlives the fold that it waits for, unless the
// log they went into is gone.
func (h handler) Spared(t *partition) []string {
	if t.Replaced[h.b.facts] {
		return nil
	}
	return []string{"marker:"}
}

// Restore implements task.Handler.
func (h handler) Restore(ctx context.Context, tasks []*partition) error {
	return restoring(h).run(ctx, tasks)
}

// Room implements task.Handler.
func (h handler) Room() func(t *partition, input int) bool {
	room := roomOf(h.Tasks())
	return func(t *partition, input int) bool { return hasRoom(t, t.sources[input], room) }
}

// Receive implements task.Handler.
func (h handler) Receive(t *partition, input int, f broker.Fetched) { receive(t, t.sources[input], f) }

// Skip implements task.Handler.
func (h handler) Skip(t *partition, input int, to int64) { h.watch.skipped(t.sources[input].Input, to) }

// Work implements task.Handler.
func (h handler) Work(ctx context.Context) {
	for _, result := range h.pool.Results() {
		result()
	}
	if h.Leaving() {
		return
	}
	h.turn++
	h.runQueues() // before the store is waited for
	h.load(ctx)
	h.wake(ctx)
	h.runQueues()
	h.readChains()
}

func (h handler) runQueues() {
	for _, t := range h.Tasks() {
		t.runQueues()
	}
}

// Need implements task.Handler. Somebody waits for a fact or a dead letter that may only be published once it is
// stored, for what the state of an order became, or for the room that events take. What was found a duplicate, a fact
// that changed nothing here and what left the outbox may wait for a while: until they are written the position does
// not pass them, and nothing is committed (ADR 10).
func (h handler) Need(t *partition) task.Need {
	// A source that holds what each may have when all are busy may be left out of the next fetch.
	crowded := func(s *source) bool { return s.full(minWindowEvents) }
	switch {
	case t.outbox.HasUnstored() || t.evolved || len(t.ops) > 0:
		return task.Now
	case len(t.ready) > 0 && slices.ContainsFunc(t.sources, crowded):
		return task.Now
	case t.Moved || len(t.ready)+len(t.touched) > 0 || t.timers.Changed():
		return task.Soon
	}
	return task.Nothing
}

// Change implements task.Handler.
func (h handler) Change(t *partition, ch *task.Change) { change(t, ch) }

// Position implements task.Handler.
func (h handler) Position(t *partition, input int) int64 { return t.sources[input].position() }

// Commitable implements task.Handler.
func (h handler) Commitable(t *partition, input int) int64 {
	if t.outbox.Inherited() {
		return -1
	}
	return t.sources[input].commitable(t.outbox.Settled())
}

// Publish implements task.Handler.
func (h handler) Publish() { publishing(h).run() }

// Next implements task.Handler.
func (h handler) Next(now time.Time, sooner func(at time.Time)) {
	for t := range h.Alive() {
		if len(t.loading) > 0 || hasDue(t) {
			sooner(now.Add(wait.BackoffMin))
		}
		for _, at := range t.resting {
			sooner(at)
		}
		if at, ok := t.timers.Next(); ok {
			sooner(at)
		}
		for _, l := range t.own {
			if l.tries > 0 && !l.busy {
				sooner(l.retryAt)
			}
		}
	}
}

// Quiet implements task.Handler: nothing is running, nothing waits to be stored or published.
func (h handler) Quiet() bool {
	return h.inFlight == 0 && !slices.ContainsFunc(h.Tasks(), func(t *partition) bool {
		return !t.Lost() && t.running+len(t.ready)+len(t.touched)+t.outbox.Unacked() > 0
	})
}

// Released implements task.Handler: a produce in flight could still be taken for another writer's.
func (h handler) Released(t *partition) bool { return t.inFlight == 0 }

// Unready implements task.Handler.
func (h handler) Unready(t *partition) (why []string) {
	switch {
	case t.stopped != nil:
		why = append(why, " is stopped: too many dead letters")
	case t.mostlyWaiting():
		why = append(why, ": most orders wait for something unavailable")
	}
	for _, l := range t.own {
		if l.refused != nil {
			why = append(why, ": "+l.Topic+" does not take what is published: "+fault.FirstLine(l.refused.Error()))
		}
	}
	for _, s := range t.sources {
		if s.Err != nil && fault.ClassOf(s.Err) == fault.Permanent {
			why = append(why, ": "+fault.FirstLine(s.Err.Error()))
		}
	}
	return why
}

// Unwell implements task.Handler.
func (h handler) Unwell() (why []string) {
	h.watch.tell()
	if err := h.cfg.Clock.Err(); err != nil {
		why = append(why, err.Error())
	}
	return why
}

// Lag implements task.Handler.
func (h handler) Lag(t *partition, input int) (records int, oldest, watermark time.Time) {
	return t.sources[input].lag()
}

// Measure implements task.Handler.
func (h handler) Measure(add func(m telemetry.Metric, n float64)) {
	for t := range h.Alive() {
		add(telemetry.OutboxEntries, float64(t.outbox.Len()))
		add(telemetry.OrdersParked, float64(t.forPerson))
		add(telemetry.OrdersDeferred, float64(len(t.parked)-t.forPerson))
		if n := t.waiting(); n > 0 {
			add(telemetry.OrdersWaiting, float64(n))
		}
	}
}
