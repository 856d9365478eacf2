package task

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

var (
	tasksClaimed  = telemetry.TasksClaimed.Counter()
	tasksLost     = telemetry.TasksLost.Counter()
	applyDuration = telemetry.ApplyDuration.Histogram()
	applySize     = telemetry.ApplySize.Sizes()
)

// lostReplaced is why a task is lost that was restored from logs that are gone, or shorter than what was read of them.
const lostReplaced = "replaced"

func (i *Instance) count(c metric.Int64Counter, n int, kv ...attribute.KeyValue) {
	by := append(make([]attribute.KeyValue, 0, 4), kv...) // on the stack
	telemetry.By(append(by, telemetry.Participant.String(i.Name))...).Add(context.Background(), c, int64(n))
}

func (e *Engine[T]) tellLost(p *Partition, why string) {
	e.count(tasksLost, 1, telemetry.Reason.String(why))
	e.Logger.Warn("task lost, folding again", "partition", p.Number, "why", why)
}

// tellReplaced says which topics of claimed tasks are others than those that were stored.
func (e *Engine[T]) tellReplaced(tasks []T) {
	topics, n := map[string]bool{}, 0
	for _, t := range tasks {
		if p := t.part(); len(p.Replaced) > 0 {
			maps.Copy(topics, p.Replaced)
			n++
		}
	}
	if n > 0 {
		e.count(tasksLost, n, telemetry.Reason.String(lostReplaced))
		e.Logger.Error("topics were deleted and created anew: what was kept of them is dropped and folded from their start",
			"topics", slices.Sorted(maps.Keys(topics)), "partitions", n)
	}
}

// tellShorter says that a log does not hold what was read of it.
func (i *Instance) tellShorter(tp broker.TopicPartition, at, end int64) {
	i.Logger.Error("the log is shorter than it was: it lost records, or is another one; folding from its start",
		"topic", tp.Topic, "partition", tp.Partition, "offset", at, "end", end)
}

func (i *Instance) tellApplied(began time.Time, events int) {
	by := telemetry.By(telemetry.Participant.String(i.Name))
	by.Record(context.Background(), applyDuration, time.Since(began).Seconds())
	if events > 0 {
		by.Record(context.Background(), applySize, float64(events))
	}
}

const (
	// measureEvery is how often the engine says where its tasks are.
	measureEvery = time.Second
	// askEndsAfter is when the end of a log is asked for that no fetch has told: what is not fetched lags all the same.
	askEndsAfter = 5 * time.Second
)

// gauges is where the tasks of an instance are, as the engine said last; whoever collects metrics reads it.
type gauges struct {
	mu     sync.Mutex
	said   time.Time
	sums   map[telemetry.Metric]float64 // over all tasks
	logs   []telemetry.Lag
	ends   map[broker.TopicPartition]int64
	asking bool
}

// open lets metrics be collected until closed.
func (g *gauges) open(by attribute.KeyValue, partitions int, own []telemetry.Metric) (closed func()) {
	sums := append([]telemetry.Metric{telemetry.TasksRunning}, own...)
	return telemetry.Gauges(func(_ context.Context, observe telemetry.Observe) {
		g.mu.Lock()
		defer g.mu.Unlock()
		observe(telemetry.TasksExpected, float64(partitions), by)
		for _, m := range sums {
			observe(m, g.sums[m], by)
		}
		for _, l := range g.logs {
			l.Observe(observe, by)
		}
	}, slices.Concat([]telemetry.Metric{telemetry.TasksExpected}, sums, telemetry.LagMetrics)...)
}

// left forgets the tasks: this instance has none any more.
func (g *gauges) left() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sums, g.logs, g.said, g.ends = nil, nil, time.Time{}, nil
}

// measure says where the tasks are, once a second.
func (e *Engine[T]) measure(now time.Time) {
	g := &e.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.said) < measureEvery {
		return
	}
	g.said, g.sums, g.logs = now, map[telemetry.Metric]float64{}, nil
	var untold []broker.TopicPartition
	for _, t := range e.tasks {
		p := t.part()
		if p.lost {
			continue
		}
		g.sums[telemetry.TasksRunning]++
		for i, in := range p.Inputs {
			records, oldest, watermark := e.h.Lag(t, i)
			g.logs = append(g.logs, in.lag(max(in.End, g.ends[in.TopicPartition]), now, records, oldest, watermark))
			if now.Sub(in.toldAt) > askEndsAfter {
				untold = append(untold, in.TopicPartition)
			}
		}
	}
	e.h.Measure(func(m telemetry.Metric, n float64) { g.sums[m] += n })
	if len(untold) > 0 && !g.asking && !e.leaving {
		g.asking = true
		e.Go(func() { e.askEnds(untold) })
	}
}

func (e *Engine[T]) askEnds(logs []broker.TopicPartition) {
	ctx, cancel := context.WithTimeout(e.ctx, StoreTimeout)
	defer cancel()
	ends, err := e.Log.Ends(ctx, logs)
	g := &e.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking = false
	if err == nil { // otherwise the log is away, and the client says so
		g.ends = ends
	}
}

// lag is how far an input is behind an end of its log. What is not fetched yet is as old as the moment it was missed.
func (in *Input) lag(end int64, now time.Time, waiting int, oldest, watermark time.Time) telemetry.Lag {
	l := telemetry.Lag{TopicPartition: in.TopicPartition, Records: max(0, end-in.Cursor) + int64(waiting)}
	if end <= in.Cursor {
		in.missedAt = time.Time{}
	} else if in.missedAt.IsZero() {
		in.missedAt = now
	}
	l.Oldest, l.Watermark = in.missedAt, in.missedAt
	if !oldest.IsZero() {
		l.Oldest = oldest
	}
	if !watermark.IsZero() {
		l.Watermark = watermark
	}
	return l
}
