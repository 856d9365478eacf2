package task

import (
	"cmp"
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

var (
	tasksClaimed  = telemetry.TasksClaimed.Counter()
	tasksLost     = telemetry.TasksLost.Counter()
	applyDuration = telemetry.ApplyDuration.Histogram()
	applySize     = telemetry.ApplySize.Sizes()
)

// Instance is one member of the consumer group: what the engines of its generations have in common. Unlike theirs, its
// methods may be called by anybody.
type Instance struct {
	Config
	unready atomic.Pointer[string] // why; nil: it is ready
	noStore atomic.Pointer[string] // why the store did not answer last; nil: it did
	gauges  gauges
}

// New returns an instance; it opens nothing.
func New(cfg Config) *Instance {
	i := &Instance{Config: cfg}
	i.takesNoPart()
	return i
}

// Ready returns nil when every task of this instance is taken over and nothing keeps it from its work; otherwise it
// says why not. It does not block.
func (i *Instance) Ready() error {
	if why := i.unready.Load(); why != nil {
		return fault.New(fault.Unavailable, "%s", *why)
	}
	return nil
}

// say sets why the instance is not ready; nothing: it is.
func (i *Instance) say(why ...string) {
	if len(why) == 0 {
		i.unready.Store(nil)
		return
	}
	all := strings.Join(why, "; ")
	i.unready.Store(&all)
}

func (i *Instance) takesNoPart() { i.say("waiting for the consumer group, its topics or Redis") }

// StoreDown and storeUp say in one line each that Redis went and came back.
func (i *Instance) StoreDown(err error) {
	why := fault.FirstLine(err.Error())
	if i.noStore.Swap(&why) == nil {
		i.Logger.Warn("waiting for redis", "error", why)
	}
}

func (i *Instance) storeUp() {
	if i.noStore.Swap(nil) != nil {
		i.Logger.Info("redis is back")
	}
}

// insist tries something that a start or a takeover needs until it is done, ctx ends, or its error is of the class
// that is final; meanwhile it says what that keeps the instance from. again: it has failed before.
func (i *Instance) insist(ctx context.Context, final fault.Class, what string, try func(again bool) error) error {
	for tries := 1; ; tries++ {
		err := try(tries > 1)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil || fault.ClassOf(err) == final:
			return cmp.Or(ctx.Err(), err)
		}
		why := fault.FirstLine(err.Error())
		if tries == 1 {
			i.Logger.Warn(what, "error", why) //nolint:sloglint // a constant of the caller
		}
		i.say(what + ": " + why)
		if err := wait.Sleep(ctx, min(wait.Backoff(tries), tryAgainWithin)); err != nil {
			return err
		}
	}
}

// By returns the labels of what is measured of this instance: three attributes at most, and its name.
func (i *Instance) By(kv ...attribute.KeyValue) *telemetry.Labels {
	all := append(make([]attribute.KeyValue, 0, 4), kv...) // on the stack
	return telemetry.By(append(all, telemetry.Participant.String(i.Name))...)
}

// Count adds n to a counter, by what By returns.
func (i *Instance) Count(c metric.Int64Counter, n int, kv ...attribute.KeyValue) {
	i.By(kv...).Add(context.Background(), c, int64(n))
}

// tellShorter says that a log does not hold what was read of it.
func (i *Instance) tellShorter(tp broker.TopicPartition, at, end int64) {
	i.Logger.Error("the log is shorter than it was: it lost records, or is another one; folding from its start",
		"topic", tp.Topic, "partition", tp.Partition, "offset", at, "end", end)
}

func (i *Instance) tellApplied(began time.Time, events int) {
	by := i.By()
	by.Record(context.Background(), applyDuration, time.Since(began).Seconds())
	if events > 0 {
		by.Record(context.Background(), applySize, float64(events))
	}
}
