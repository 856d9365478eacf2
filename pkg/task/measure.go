package task

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

const (
	// measureEvery is how often the engine says where its tasks are.
	measureEvery = time.Second
	// askEndsAfter is when the end of a log is asked for that no fetch has told: what is not fetched lags all the same.
	askEndsAfter = 5 * time.Second
)

// measure says where the tasks are, once a second.
func (s *tasks[T]) measure(now time.Time) {
	g := &s.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.said) < measureEvery {
		return
	}
	g.said, g.sums, g.logs = now, map[telemetry.Metric]float64{}, nil
	var untold []broker.TopicPartition
	for t, p := range s.Alive() {
		g.sums[telemetry.TasksRunning]++
		for i, in := range p.Inputs {
			records, oldest, watermark := s.h.Lag(t, i)
			g.logs = append(g.logs, in.lag(max(in.End, g.ends[in.TopicPartition]), now, records, oldest, watermark))
			if now.Sub(in.toldAt) > askEndsAfter {
				untold = append(untold, in.TopicPartition)
			}
		}
	}
	s.h.Measure(func(m telemetry.Metric, n float64) { g.sums[m] += n })
	if len(untold) > 0 && !g.asking && !s.leaving {
		g.asking = true
		s.Go(func() { s.askEnds(untold) })
	}
}

func (s *tasks[T]) askEnds(logs []broker.TopicPartition) {
	ctx, cancel := context.WithTimeout(s.ctx, StoreTimeout)
	defer cancel()
	ends, err := s.Log.Ends(ctx, logs)
	g := &s.gauges
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking = false
	if err == nil { // otherwise the log is away, and the client says so
		g.ends = ends
	}
}
