package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

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
	took, failed := make([]time.Duration, orders), make([]error, orders)
	run, began := time.Now().UnixNano(), time.Now()
	var wg sync.WaitGroup
	for n := range orders {
		due := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if err := wait.Sleep(ctx, time.Until(due)); err != nil {
			return f, err
		}
		wg.Go(func() {
			failed[n] = load.Settle(ctx, s.orders, fmt.Sprintf("round-%d-%06d", run, n))
			took[n] = time.Since(due)
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return f, err
	}
	if err := wait.Sleep(ctx, mailsWithin); err != nil {
		return f, err
	}
	after, err := s.cpu(ctx)
	slices.Sort(took)
	at := func(p float64) time.Duration { return took[int(p*float64(orders-1))] }
	return figures{at(.5), at(.99), (after - before) / time.Duration(orders)}, err
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
			var all []time.Duration
			for _, f := range of[sys] {
				all = append(all, which(f).Round(10*time.Microsecond))
			}
			slices.Sort(all)
			return fmt.Sprintf("%v (%v to %v)", all[len(all)/2], all[0], all[len(all)-1])
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
