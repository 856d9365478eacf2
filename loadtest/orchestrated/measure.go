package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/troupe-dev/troupe/loadtest/measure"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

// mailsWithin is what mails may come later than the end of the last order; it is part of what is measured.
const mailsWithin = time.Second

// figures of one round.
type figures struct{ p50, p99, perOrder time.Duration }

// round places orders at a steady rate, whether or not those before are settled, and waits for all.
func (s *system) round(ctx context.Context, orders int, rate float64) (f figures, err error) {
	before, err := s.cpu(ctx)
	if err != nil {
		return f, err
	}
	run := time.Now().UnixNano()
	took, err := measure.OpenLoop(ctx, orders, rate, func(n int) error {
		return load.Settle(ctx, s.orders, fmt.Sprintf("round-%d-%06d", run, n))
	})
	if err != nil {
		return f, err
	}
	if err := wait.Sleep(ctx, mailsWithin); err != nil {
		return f, err
	}
	after, err := s.cpu(ctx)
	return figures{took.At(.5), took.At(.99), (after - before) / time.Duration(orders)}, err
}

// compare measures both systems in turns, after a round that is not counted, and then while they have nothing to do.
func (s *stage) compare(
	ctx context.Context, w io.Writer, orders int, rate float64, rounds int, idle time.Duration,
) error {
	of := map[*system][]figures{}
	both := []*system{s.troupe, s.twin}
	for n := range rounds + 1 {
		for _, sys := range both {
			f, err := sys.round(ctx, orders, rate)
			if err != nil {
				return err
			}
			if n > 0 {
				of[sys] = append(of[sys], f)
			}
		}
	}
	fmt.Fprintf(w, "%d rounds of %d orders at %g/s in turns, median (minimum to maximum); %d cores, %s\n",
		rounds, orders, rate, runtime.NumCPU(), runtime.GOARCH)
	for _, sys := range both {
		say := func(which func(figures) time.Duration) string {
			all := measure.SpreadOf(of[sys], func(f figures) float64 { return float64(which(f)) })
			ms := func(ns float64) time.Duration { return time.Duration(ns).Round(10 * time.Microsecond) }
			return fmt.Sprintf("%v (%v to %v)", ms(all.Middle), ms(all.Least), ms(all.Most))
		}
		fmt.Fprintf(w, "%-13s settled p50 %s, p99 %s, CPU per order %s\n", sys.name,
			say(func(f figures) time.Duration { return f.p50 }), say(func(f figures) time.Duration { return f.p99 }),
			say(func(f figures) time.Duration { return f.perOrder }))
	}
	return s.idle(ctx, w, both, idle)
}

func (s *stage) idle(ctx context.Context, w io.Writer, both []*system, idle time.Duration) error {
	before := map[*system]time.Duration{}
	for _, sys := range both {
		used, err := sys.cpu(ctx)
		if err != nil {
			return err
		}
		before[sys] = used
	}
	if err := wait.Sleep(ctx, idle); err != nil {
		return err
	}
	for _, sys := range both {
		used, err := sys.cpu(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-13s idle %.1f %% of a core\n", sys.name, 100*(used-before[sys]).Seconds()/idle.Seconds())
	}
	return nil
}
