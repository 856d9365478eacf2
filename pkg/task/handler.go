package task

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Handler is what is done with the records of partitions. The engine's goroutine calls all of it. While it waits, so
// do all tasks of the instance: only Restore may take long, the others StoreTimeout at most.
type Handler[T Task] interface {
	// New returns the task of a partition that is about to be claimed.
	New(p *Partition) T
	// Locate finds where tasks that are about to be claimed keep what they store. An error has it tried again.
	Locate(ctx context.Context, tasks []T) error
	// Usable says whether what a version has stored can be gone on with; otherwise it is deleted.
	Usable(t T, version string) bool
	// Counted names the keys of a task, without their hash tags, whose loss is to be noticed: taskstore.Change.Kept.
	Counted(t T) []string
	// Spared names the beginnings of keys that a reset leaves.
	Spared(t T) []string
	// Restore brings tasks that were claimed to where their inputs can be read. An error has all of them claimed again.
	Restore(ctx context.Context, tasks []T) error

	// Room returns which inputs of which tasks may be part of the next fetch.
	Room() func(t T, input int) bool
	// Receive takes in what a fetch brought of an input, whose Cursor is still where the fetch began.
	Receive(t T, input int, f broker.Fetched)
	// Skip tells that the records from the input's Cursor up to an offset are gone by retention.
	Skip(t T, input int, to int64)
	// Work does all that can be done now, from what was received and what the handler's own goroutines brought; while
	// the engine is Leaving it begins nothing new.
	Work(ctx context.Context)

	// Need says how urgently a task has something to write.
	Need(t T) Need
	// Change fills in what is to be written. The engine adds the positions of the inputs.
	Change(t T, ch *Change)
	// Position is the lowest offset of an input whose effect is not stored once the change under way is.
	Position(t T, input int) int64
	// Commitable is the offset up to which the group may forget an input; -1: it is not known yet.
	Commitable(t T, input int) int64
	// Publish sends what changes that the store took let go.
	Publish()

	// Next tells the moments at which Work has something to do although nothing arrives.
	Next(now time.Time, sooner func(at time.Time))
	// Quiet says that nothing is under way that leaving should wait for.
	Quiet() bool
	// Released says that nothing of a lost task is under way any more that another claim would meet.
	Released(t T) bool
	// Unready says why a task keeps the instance from being ready. None: it does not.
	Unready(t T) []string
	// Unwell says the same of the instance as a whole.
	Unwell() []string
	// Lag of an input: how many records wait in memory, and when the oldest of them and the oldest that holds back the
	// position were appended; zero: there is none.
	Lag(t T, input int) (records int, oldest, watermark time.Time)
	// Measure adds up the handler's own gauges.
	Measure(add func(m telemetry.Metric, n float64))
}

// Need of a task to be written.
type Need int

const (
	// Nothing changed.
	Nothing Need = iota
	// Soon: nobody waits for it, so it is written with others, every 50 ms (ADR 10).
	Soon
	// Now: somebody waits for it.
	Now
)

// Defaults are what a handler does that keeps nothing but what its changes write, publishes nothing, and runs nothing
// beside the engine. To be embedded.
type Defaults[T Task] struct{}

// Locate implements Handler: what is stored is always in the same place.
func (Defaults[T]) Locate(context.Context, []T) error { return nil }

// Counted implements Handler: no loss of a key is noticed.
func (Defaults[T]) Counted(T) []string { return nil }

// Spared implements Handler: nothing outlives a reset.
func (Defaults[T]) Spared(T) []string { return nil }

// Publish implements Handler.
func (Defaults[T]) Publish() {}

// Quiet implements Handler.
func (Defaults[T]) Quiet() bool { return true }

// Released implements Handler.
func (Defaults[T]) Released(T) bool { return true }

// Unready implements Handler: an input that the broker does not let be read.
func (Defaults[T]) Unready(t T) (why []string) {
	for _, in := range t.part().Inputs {
		if in.Err != nil {
			why = append(why, ": kafka: "+in.Err.Error())
		}
	}
	return why
}

// Unwell implements Handler.
func (Defaults[T]) Unwell() []string { return nil }

// Measure implements Handler: there are no gauges beside the engine's.
func (Defaults[T]) Measure(func(telemetry.Metric, float64)) {}
