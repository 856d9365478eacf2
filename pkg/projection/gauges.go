package projection

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// gauges is how far the tasks of an instance are, as the cycle said last; whoever collects metrics reads it.
type gauges struct {
	mu      sync.Mutex
	said    time.Time
	running int
	logs    []telemetry.Lag
}

// open lets metrics be collected until close.
func (w *watch) open(partitions int) (close func()) {
	by := telemetry.Participant.String(w.name)
	return telemetry.Gauges(func(_ context.Context, observe telemetry.Observe) {
		w.mu.Lock()
		defer w.mu.Unlock()
		observe(telemetry.TasksExpected, float64(partitions), by)
		observe(telemetry.TasksRunning, float64(w.running), by)
		for _, l := range w.logs {
			l.Observe(observe, by)
		}
	}, append([]telemetry.Metric{telemetry.TasksExpected, telemetry.TasksRunning}, telemetry.LagMetrics...)...)
}

// measure says where the tasks are, at most once a second. None: this instance has left.
func (g *gauges) measure(tasks []*task) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if len(tasks) > 0 && now.Sub(g.said) < time.Second {
		return
	}
	g.said, g.running, g.logs = now, 0, nil
	for _, t := range tasks {
		if !t.taken {
			continue
		}
		g.running++
		oldest := t.oldest()
		for i, s := range t.sources {
			l := telemetry.Lag{TopicPartition: s.TopicPartition, Records: max(0, s.end-s.applied), Oldest: oldest[i]}
			if s.end <= s.cursor {
				s.missedAt = time.Time{}
			} else if s.missedAt.IsZero() {
				s.missedAt = now
			}
			if l.Oldest.IsZero() {
				l.Oldest = s.missedAt
			}
			l.Watermark = l.Oldest // what is applied is applied with its position
			g.logs = append(g.logs, l)
		}
	}
}

// oldest returns, per source, when the first record that waits was appended; zero when none does.
func (t *task) oldest() []time.Time {
	at := make([]time.Time, len(t.sources))
	for _, it := range t.pending {
		if it.rec != nil && at[it.source].IsZero() {
			at[it.source] = it.rec.Time
		}
	}
	return at
}
