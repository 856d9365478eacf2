package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

const (
	partitions = rig.Partitions
	// strikeWithin bounds one fault; what takes longer did not happen.
	strikeWithin = 90 * time.Second
	tries        = 3
	sayEvery     = 5 * time.Second
	// afterwards is how many orders a second come after the last of those asked for, while faults are not over.
	afterwards = 20
)

// run is one performance of the schedule.
type run struct {
	options
	*striker

	out   io.Writer
	began time.Time

	mu    sync.Mutex
	deeds []deed
	open  int // faults that are not over
}

// deed is a fault that was done, or tried.
type deed struct {
	schedule.Fault
	Began, Took time.Duration
	Seen        string
	Err         error
}

// prove runs everything; kept is whether all promises were, and the run has proven it.
func prove(ctx context.Context, o options, out io.Writer) (kept bool, err error) {
	dir := o.report
	if dir == "" {
		if dir, err = os.MkdirTemp("", "troupe-prove-"); err != nil {
			return false, err
		}
		defer func() {
			if kept && err == nil {
				err = os.RemoveAll(dir)
			}
		}()
	}
	play := filepath.Join(dir, "play")
	if err := os.RemoveAll(play); err != nil {
		return false, err
	}
	fmt.Fprintf(out, "seed %s: %s\n", o.seed, o.replay())
	cfg := rig.Config{Troupe: o.troupe, Dir: play, Instances: o.instances, PaymentDeadline: o.deadline, Redis: o.redis, Real: o.real, Secure: o.secure}
	if o.kafka != "" {
		cfg.Kafka = strings.Split(o.kafka, ",")
	}
	began := time.Now()
	r, err := rig.Start(ctx, cfg)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "ready after %s\n", time.Since(began).Round(time.Millisecond))
	defer func() { err = errors.Join(err, r.Stop()) }()
	p := &run{options: o, striker: &striker{Rig: r, intruder: &intruder{r.KafkaAddrs, r.Log}}, out: out, began: time.Now()}
	kept, err = p.perform(ctx, dir)
	return p.sealed(dir, out) && kept, err
}

// perform breaks and orders, waits for quiet, looks at everything, and reports.
func (p *run) perform(ctx context.Context, dir string) (bool, error) {
	faults := p.faults(p.Rig)
	for _, f := range faults {
		fmt.Fprintln(p.out, f)
	}
	during := slices.DeleteFunc(slices.Clone(faults), func(f schedule.Fault) bool { return f.Class == schedule.Anew })
	s := p.System()
	rep := &report{Seed: p.seed, Command: p.replay(), Dir: dir}
	var results []load.Result
	var err error
	if p.poison {
		results, err = p.beforeAndAfterPoison(ctx, &s)
	} else {
		results, err = p.underFaults(ctx, during)
	}
	if err != nil {
		return false, err
	}
	expected, door := all(results)
	p.say("%d orders are answered; waiting for quiet", len(expected))
	if rep.Found, err = p.judge(ctx, s, expected, door); err != nil {
		return false, err
	}
	rep.Found.Violations = append(rep.Found.Violations, p.wrong...)
	if err := p.FoldedAnew(ctx, rep.Found); err != nil {
		return false, err
	}
	if p.poison {
		rep.poisoned(results)
	}
	if err := rep.tell(ctx, s, rep.Found, "stories.txt"); err != nil {
		return false, err
	}
	if err := p.anew(ctx, s, rep, faults[len(during):]); err != nil {
		return false, err
	}
	rep.prove(faults, p.deeds)
	if err := p.used(ctx, rep.Found); err != nil {
		return false, err
	}
	rep.Took = time.Since(p.began)
	return rep.end(p.out)
}

// used lets others use what is left of the troupe.
func (p *run) used(ctx context.Context, found *check.Report) error {
	if p.then == "" {
		return nil
	}
	p.say("and then: %s", p.then)
	log, err := p.Use(ctx, p.then)
	if err != nil {
		found.Violation(check.NotProven, "", "afterwards %s failed, as %s says: %v", p.then, log, err)
	}
	said, err := os.ReadFile(log)
	fmt.Fprintf(p.out, "%s\n", said)
	return errors.Join(err, ctx.Err())
}

func all(results []load.Result) (expected []check.Expected, door []string) {
	for _, r := range results {
		expected, door = append(expected, r.Expected...), append(door, r.Violations...)
	}
	return expected, door
}

func (p *run) plan(orders int, seed uint64) load.Plan {
	return load.Plan{Orders: orders, PerSecond: p.rate, DeclinedOneIn: 10, CancelledOneIn: 8, TwiceOneIn: 15, SlowOneIn: 15,
		UnsureOneIn: 30, Seed: seed}
}

// underFaults lets the customers order for as long as the schedule lasts.
func (p *run) underFaults(ctx context.Context, faults []schedule.Fault) ([]load.Result, error) {
	over := make(chan struct{})
	plan := p.plan(p.orders, p.seedNumber())
	if span := schedule.End(faults).Seconds(); span > 0 {
		plan.PerSecond = min(p.rate, float64(p.orders)/span)
	}
	plan.More, plan.MorePerSecond = over, min(plan.PerSecond, afterwards)
	p.say("%d orders at %.1f a second, %d faults", p.orders, plan.PerSecond, len(faults))
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work.Go(func() {
		select {
		case <-p.Ended():
			cancel(errors.New("the playground ended by itself"))
		case <-ctx.Done():
		}
	})
	work.Go(func() {
		defer close(over)
		p.strikeAll(ctx, faults)
	})
	said := make(chan struct{})
	work.Go(func() { p.progress(said) })
	result, err := plan.Run(ctx, p.Orders, func(n int) { p.answered.Store(int64(n)) })
	close(said)
	return []load.Result{result}, errors.Join(err, context.Cause(ctx))
}

// strikeAll returns when every lane is at its end.
func (p *run) strikeAll(ctx context.Context, faults []schedule.Fault) {
	lanes := map[string][]schedule.Fault{}
	for _, f := range faults {
		lanes[f.Lane] = append(lanes[f.Lane], f)
	}
	p.open = len(faults)
	var working sync.WaitGroup
	for _, lane := range lanes {
		working.Go(func() { p.lane(ctx, lane) })
	}
	working.Wait()
}

// lane does its faults one after the other. What could not be done is tried again at the end.
func (p *run) lane(ctx context.Context, faults []schedule.Fault) {
	for try := range tries {
		var again []schedule.Fault
		for _, f := range faults {
			pause(ctx, f.At-time.Since(p.began))
			if ctx.Err() != nil {
				return
			}
			if !p.done(ctx, f) {
				again = append(again, f)
			}
		}
		if faults = again; len(faults) == 0 || try == tries-1 {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open -= len(faults)
}

// done does one fault, and remembers what became of it.
func (p *run) done(ctx context.Context, f schedule.Fault) bool {
	ctx, cancel := context.WithTimeout(ctx, strikeWithin)
	defer cancel()
	d := deed{Fault: f, Began: time.Since(p.began)}
	d.Seen, d.Err = p.strike(ctx, f)
	d.Took = time.Since(p.began) - d.Began
	if d.Err == nil {
		p.say("%s %s: %s", f.Key(), f.Target, d.Seen)
	} else {
		p.say("%s %s: %v", f.Key(), f.Target, d.Err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deeds = append(p.deeds, d)
	if d.Err == nil {
		p.open--
	}
	return d.Err == nil
}

func (p *run) say(format string, args ...any) {
	fmt.Fprintf(p.out, "%6.1fs %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// progress says how far it is, until it is over.
func (p *run) progress(over <-chan struct{}) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		p.say("%d orders are answered, %d faults are to come", p.answered.Load(), open)
	}
}

// judge waits for rest and says what is wrong, also at the door where customers were answered.
func (p *run) judge(
	ctx context.Context, s inspect.System, expected []check.Expected, door []string,
) (*check.Report, error) {
	said := time.Now()
	found, err := rig.Judge(ctx, s, expected, p.quiet, func(missing string) {
		if time.Since(said) > sayEvery {
			said = time.Now()
			p.say("not quiet: %s", missing)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, text := range door {
		found.Violation(check.Choreography, "", "at the door: %s", text)
	}
	return found, nil
}
