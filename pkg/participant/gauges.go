package participant

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"go.opentelemetry.io/otel/attribute"
)

const (
	// measureEvery is how often the cycle says where its tasks are.
	measureEvery = time.Second
	// askEndsAfter is when the end of a log is asked for that no fetch has told: what is not fetched lags all the same.
	askEndsAfter = 5 * time.Second
)

// gauges is where the tasks of an instance are, as the cycle said last; whoever collects metrics reads it.
type gauges struct {
	mu      sync.Mutex
	said    time.Time
	tasks   map[telemetry.Metric]float64 // sums over all tasks
	logs    []telemetry.Lag
	folding map[string]float64 // by topic
	ends    map[broker.TopicPartition]int64
	asking  bool
	close   func()
}

func (g *gauges) open(label attribute.KeyValue, partitions int) {
	g.folding = map[string]float64{}
	g.close = telemetry.Gauges(func(_ context.Context, observe telemetry.Observe) {
		g.mu.Lock()
		defer g.mu.Unlock()
		observe(telemetry.TasksExpected, float64(partitions), label)
		for _, m := range []telemetry.Metric{telemetry.TasksRunning, telemetry.OutboxEntries, telemetry.LanesWaiting, telemetry.OrdersParked, telemetry.OrdersDeferred} {
			observe(m, g.tasks[m], label)
		}
		for topic, left := range g.folding {
			observe(telemetry.FoldRemaining, left, label, telemetry.Topic.String(topic))
		}
		for _, l := range g.logs {
			l.Observe(observe, label)
		}
	}, append([]telemetry.Metric{telemetry.TasksExpected, telemetry.TasksRunning, telemetry.OutboxEntries, telemetry.LanesWaiting,
		telemetry.OrdersParked, telemetry.OrdersDeferred, telemetry.FoldRemaining}, telemetry.LagMetrics...)...)
}

// fold says how many records of an own topic a fold under way has still to read.
func (g *gauges) fold(topic string, left int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.folding[topic] = float64(left)
}

// left forgets the tasks: this instance has none any more.
func (g *gauges) left() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tasks, g.logs, g.said, g.ends = nil, nil, time.Time{}, nil
	clear(g.folding)
}

// measure says where the tasks are, once a second.
func (c *cycle) measure() {
	now := time.Now()
	g := &c.watch.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.said) < measureEvery {
		return
	}
	g.said, g.tasks, g.logs = now, map[telemetry.Metric]float64{}, nil
	var untold []broker.TopicPartition
	for _, t := range c.tasks {
		if t.dead {
			continue
		}
		g.tasks[telemetry.TasksRunning]++
		g.tasks[telemetry.OutboxEntries] += float64(len(t.outbox))
		g.tasks[telemetry.OrdersParked] += float64(t.forPerson)
		g.tasks[telemetry.OrdersDeferred] += float64(len(t.parked) - t.forPerson)
		for o := range t.retries {
			if o.lane.waiting {
				g.tasks[telemetry.LanesWaiting]++
			}
		}
		for _, s := range t.sources {
			g.logs = append(g.logs, s.lag(max(s.end, g.ends[s.TopicPartition]), now))
			if now.Sub(s.toldAt) > askEndsAfter {
				untold = append(untold, s.TopicPartition)
			}
		}
	}
	if len(untold) > 0 && !g.asking && !c.leaving {
		g.asking = true
		c.work.Go(func() { c.askEnds(untold) })
	}
}

func (c *cycle) askEnds(logs []broker.TopicPartition) {
	ctx, cancel := context.WithTimeout(c.ctx, storeTimeout)
	defer cancel()
	ends, err := c.cfg.Log.Ends(ctx, logs)
	g := &c.watch.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking = false
	if err == nil { // otherwise the log is away, and the client says so
		g.ends = ends
	}
}

// lag is how far the source is behind an end of its log. What is not fetched yet is as old as the moment it was missed.
func (s *source) lag(end int64, now time.Time) telemetry.Lag {
	l := telemetry.Lag{TopicPartition: s.TopicPartition, Records: max(0, end-s.cursor) + int64(s.pending)}
	if end <= s.cursor {
		s.missedAt = time.Time{}
	} else if s.missedAt.IsZero() {
		s.missedAt = now
	}
	l.Oldest, l.Watermark = s.missedAt, s.missedAt
	if len(s.window) > 0 {
		l.Watermark = s.window[0].time
	}
	for _, at := range s.window {
		if at.d != nil {
			l.Oldest = at.time
			break
		}
	}
	return l
}
