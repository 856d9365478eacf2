package projection

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// serve folds the live copies of a generation, and what is rebuilt of them beside.
func (p *Projection[D]) serve(ctx context.Context, g broker.Generation) error {
	live := newCycle(p, g)
	beside, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		s := &shadows[D]{ctx: beside, live: live, names: map[int]string{}}
		defer s.stop()
		r := rebuild.Runner{Name: p.b.Name, Version: p.b.version(), Topics: p.topics, Every: p.lookEvery, Engine: s}
		r.Run(beside, p.cfg.Redis)
	})
	err := live.run(ctx)
	stop()
	wg.Wait()
	return err
}

// shadows are folded by a cycle of their own, so that what is live does not wait for them. It runs while there are any.
type shadows[D any] struct {
	ctx   context.Context // ends with the generation
	live  *cycle[D]
	names map[int]string // by partition
	cycle *cycle[D]      // nil: there are none
	end   func()         // ends the cycle, and waits for that
}

var _ rebuild.Engine = (*shadows[any])(nil)

// shadowGeneration is a generation in which the partitions are given by a rebuild, and nothing is committed.
type shadowGeneration struct{ broker.Generation }

func (shadowGeneration) Assigned() []broker.TopicPartition { return nil }

func (shadowGeneration) Commit(context.Context, map[broker.TopicPartition]int64) error { return nil }

// start begins the cycle: the same projection, but for what the outside sees of it.
func (s *shadows[D]) start() {
	p := s.live.Projection
	b := p.b
	b.Stored, b.Continues = nil, 0 // what another version began is of no use
	shadow := &Projection[D]{
		b: b, topics: p.topics, cfg: p.cfg, base: p.base, watch: newShadowWatch(b.Name), shadow: true,
		beyondFor: p.beyondFor, state: map[string]error{},
	}
	c := newCycle(shadow, shadowGeneration{s.live.gen})
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.run(ctx); err != nil {
			p.watch.rebuildFailed(err)
		}
	}()
	s.cycle, s.end = c, func() { cancel(); <-done }
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
	s.live.do(func() {
		for _, t := range s.live.tasks {
			if t.taken {
				live[t.partition] = rebuild.Live{
					Copy: s.live.copies[t.partition], Owner: t.owner, Stale: t.mixed != "" || t.doubted,
				}
			}
		}
	})
	return live
}

// Build implements rebuild.Engine.
func (s *shadows[D]) Build(names map[int]string) (stopped []int) {
	for p, name := range s.names {
		if names[p] != name {
			s.cycle.do(func() { s.cycle.remove(p) })
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
	s.cycle.do(func() {
		for p, name := range names {
			s.cycle.copies[p] = name
			s.cycle.add(p)
		}
	})
	return stopped
}

// Swap implements rebuild.Engine: it stops both cycles between two steps. Where the pointer does not move, the live
// copy waits shortly, so that its shadow can catch up.
func (s *shadows[D]) Swap(partition int, try func() bool) {
	moved := false
	s.cycle.do(func() {
		s.live.do(func() {
			t := s.live.taskOf(partition)
			if moved = try(); moved {
				t.drop() // claimed anew, under the pointer
				t.swapped = true
			} else {
				t.hold(time.Now())
			}
		})
		if moved {
			s.cycle.remove(partition)
		}
	})
	if moved {
		delete(s.names, partition)
	}
}

// Reclaim implements rebuild.Engine.
func (s *shadows[D]) Reclaim(partition int) {
	s.live.do(func() { s.live.taskOf(partition).drop() })
}
