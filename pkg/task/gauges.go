package task

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
)

// gauges is where the tasks of an instance are, as the engine said last; whoever collects metrics reads it.
type gauges struct {
	mu     sync.Mutex
	said   time.Time
	sums   map[telemetry.Metric]float64 // over all tasks
	logs   []telemetry.Lag
	ends   map[broker.TopicPartition]int64 // asked for: of logs of which no fetch has told
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
