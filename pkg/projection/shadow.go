package projection

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/task"
)

// shadows are folded by an engine of their own, so that what is live does not wait for them. It runs while there are
// any. Their methods are called by the goroutine of rebuildCopies, which owns the fields; each engine's state is read
// and changed by that engine's goroutine alone, through Do. Swap asks the shadows' first, then the live one's: never
// the other way round, or both would wait.
type shadows[D any] struct {
	ctx   context.Context // ends with the generation
	live  *cycle[D]
	names map[int]string // by partition
	cycle *cycle[D]      // nil: there are none
	end   func()         // ends the cycle, and waits for that
}

var _ rebuild.Engine = (*shadows[any])(nil)

// start begins the engine: the same projection, but for what the outside sees of it.
func (s *shadows[D]) start() {
	of := s.live.copies(true, slog.With("projection", s.live.b.Name, "copy", "shadow"))
	ctx, cancel := context.WithCancel(s.ctx)
	e := task.NewEngine(ctx, of.Instance, s.live.Generation(), func(e *engine[D]) task.Handler[*partition[D]] {
		s.cycle = newCycle(s.live.model, of, e)
		return s.cycle
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Serve(ctx, nil); err != nil {
			s.live.watch.rebuildFailed(err)
		}
	}()
	s.end = func() { cancel(); <-done }
}

func (s *shadows[D]) stop() {
	if s.cycle != nil {
		s.end()
		s.cycle = nil
	}
}

// Live implements rebuild.Engine.
func (s *shadows[D]) Live() map[int]rebuild.Live {
	live := map[int]rebuild.Live{}
	s.live.Do(func() {
		for t := range s.live.Alive() {
			live[t.Number] = rebuild.Live{
				Copy: s.live.of.names[t.Number], Owner: t.Owner(), Stale: t.mixed != "" || t.doubted,
			}
		}
	})
	return live
}

// Build implements rebuild.Engine.
func (s *shadows[D]) Build(names map[int]string) (stopped []int) {
	for p, name := range s.names {
		if names[p] != name {
			s.cycle.Do(func() { s.cycle.Remove(p) })
			stopped = append(stopped, p)
		}
	}
	s.names = maps.Clone(names)
	if len(names) == 0 {
		s.stop()
		return stopped
	}
	if s.cycle == nil {
		s.start()
	}
	s.cycle.Do(func() {
		for p, name := range names {
			s.cycle.of.names[p] = name
			s.cycle.Add(p)
		}
	})
	return stopped
}

// Swap implements rebuild.Engine: it stops both engines between two steps. Where the pointer does not move, the live
// copy waits shortly, so that its shadow can catch up.
func (s *shadows[D]) Swap(partition int, try func() bool) {
	moved := false
	s.cycle.Do(func() {
		s.live.Do(func() {
			t, ok := s.live.Task(partition)
			if moved = try(); !ok {
				return
			}
			if moved {
				s.live.swapped[partition] = true
				s.live.Reclaim(t) // under the pointer
			} else {
				t.hold(time.Now())
			}
		})
		if moved {
			s.cycle.Remove(partition)
		}
	})
	if moved {
		delete(s.names, partition)
	}
}

// Reclaim implements rebuild.Engine.
func (s *shadows[D]) Reclaim(partition int) {
	s.live.Do(func() {
		if t, ok := s.live.Task(partition); ok {
			s.live.engine.Reclaim(t)
		}
	})
}

// rebuildCopies looks after the rebuilds of the partitions that a cycle of live copies owns, until ctx ends.
func rebuildCopies[D any](ctx context.Context, c *cycle[D]) {
	s := &shadows[D]{ctx: ctx, live: c, names: map[int]string{}}
	defer s.stop()
	r := rebuild.Runner{Name: c.b.Name, Version: c.b.version(), Topics: c.topics, Every: c.lookEvery, Engine: s}
	r.Run(ctx, c.cfg.Redis)
}
