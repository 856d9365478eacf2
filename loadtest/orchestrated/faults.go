package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// breakage is something that befalls a system while customers order.
type breakage struct {
	name   string
	strike func(context.Context, *stage, *system) error
}

const (
	storeAway   = 5 * time.Second
	gatewayAway = 10 // seconds
	slowMS      = 500
	kills       = 3
	poisoned    = 5
	// answeredWithin is the patience of customers after the last has come.
	answeredWithin = time.Minute
)

// control is what of the simulator's control is used here.
type control struct {
	DelayMS          int  `json:"delay_ms,omitempty"`
	Outage           bool `json:"outage,omitempty"`
	DoubleChargeNext int  `json:"double_charge_next,omitempty"`
}

func (s *stage) put(ctx context.Context, c control) error {
	return rig.Put(ctx, s.outside.gateway+"/control", c)
}

var breakages = []breakage{
	{"none", func(context.Context, *stage, *system) error { return nil }},
	{"kill", func(ctx context.Context, s *stage, sys *system) error {
		if err := s.put(ctx, control{DelayMS: slowMS}); err != nil { // so that charges are under way at every moment
			return err
		}
		var errs []error
		for range kills {
			_ = wait.Sleep(ctx, 2*time.Second)
			errs = append(errs, sys.kill(ctx))
		}
		return errors.Join(append(errs, s.put(ctx, control{}))...)
	}},
	{"store-down", func(ctx context.Context, _ *stage, sys *system) error {
		sys.redis.Kill()
		_ = wait.Sleep(ctx, storeAway)
		return sys.redis.Start(ctx)
	}},
	{"store-wiped", func(ctx context.Context, _ *stage, sys *system) error {
		if err := sys.store.FlushAll(ctx).Err(); err != nil {
			return err
		}
		return sys.afterWipe(ctx)
	}},
	{"gateway-away", func(ctx context.Context, s *stage, _ *system) error {
		if err := s.put(ctx, control{Outage: true}); err != nil {
			return err
		}
		_ = wait.Sleep(ctx, gatewayAway*time.Second)
		return s.put(ctx, control{})
	}},
	{"poison", func(ctx context.Context, _ *stage, sys *system) error {
		for n := range poisoned {
			o := rest.PlaceOrder{
				CustomerID: "poison", Email: "poison@example.com", Currency: "EUR", PaymentMethod: "pm_sim_refused", // by no bank
				Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 1, UnitPrice: 100}},
			}
			if _, err := sys.orders.Place(ctx, fmt.Sprintf("poison-%d-%d", n, time.Now().UnixNano()), o); err != nil {
				return err
			}
		}
		return nil
	}},
	{"release", func(ctx context.Context, _ *stage, sys *system) error { return sys.release(ctx, releaseShipping) }},
	{"release-versioned", func(ctx context.Context, _ *stage, sys *system) error { return sys.release(ctx, releaseVersioned) }},
}

// outcome is what became of a crowd.
type outcome struct {
	orders, retries int
	// settled is how long after the fault was over nothing was wrong any more; 0 when something stayed wrong.
	settled    time.Duration
	violations []check.Violation
}

func (o outcome) String() string {
	if len(o.violations) == 0 {
		return fmt.Sprintf("%d orders, all kept %.1f s after the fault and the last order; %d tries again",
			o.orders, o.settled.Seconds(), o.retries)
	}
	count := map[check.Guarantee]int{}
	for _, v := range o.violations {
		count[v.Guarantee]++
	}
	var text []string
	for _, g := range slices.Sorted(maps.Keys(count)) {
		text = append(text, fmt.Sprintf("%s %d", g, count[g]))
	}
	return fmt.Sprintf("%d orders, broken: %s; %d requests tried again; such as %s",
		o.orders, strings.Join(text, ", "), o.retries, o.violations[0])
}

// crowd is who comes while something breaks.
type crowd struct {
	orders    int
	perSecond float64
	// within is how long to wait until nothing is wrong.
	within time.Duration
}

// befall has customers order, breaks something when a third of them has come, and says what became of them.
func (s *stage) befall(ctx context.Context, sys *system, b breakage, c crowd) (o outcome, err error) {
	if err := s.outside.begin(ctx); err != nil {
		return o, err
	}
	third := time.Duration(float64(c.orders) / c.perSecond / 3 * float64(time.Second))
	struck := make(chan error, 1)
	go func() { // received below
		_ = wait.Sleep(ctx, third)
		struck <- b.strike(ctx, s, sys)
	}()
	plan := load.Plan{
		Orders: c.orders, PerSecond: c.perSecond, DeclinedOneIn: 10, CancelledOneIn: 8, TwiceOneIn: 15, Seed: rand.Uint64(),
	}
	patient, cancel := context.WithTimeout(ctx, 3*third+answeredWithin)
	defer cancel()
	placed, gaveUp := plan.Run(patient, []*rest.Client{sys.orders}, nil)
	if err := errors.Join(ctx.Err(), <-struck); err != nil {
		return o, fmt.Errorf("%s, %s: %w", sys.name, b.name, err)
	}
	if gaveUp != nil {
		placed.Violations = append(placed.Violations,
			fmt.Sprintf("only %d of %d customers were answered", len(placed.Expected), c.orders))
	}
	o.orders, o.retries = len(placed.Expected), placed.Retries
	over := time.Now()
	var mails []check.Mail
	for {
		more, err := s.outside.mails(ctx)
		if err != nil {
			return o, err
		}
		mails = append(mails, more...)
		if o.violations, err = judge(ctx, sys.orders, s.outside, placed.Expected, mails); err != nil {
			return o, err
		}
		for _, text := range placed.Violations {
			o.violations = append(o.violations, check.Violation{Guarantee: check.Stuck, Text: text})
		}
		if o.settled = time.Since(over); len(o.violations) == 0 || o.settled > c.within {
			return o, nil
		}
		if err := wait.Sleep(ctx, lookAgain); err != nil {
			return o, err
		}
	}
}

// breakAll does every breakage that is named to both systems in turns.
func (s *stage) breakAll(ctx context.Context, w io.Writer, named []string, c crowd) error {
	for _, b := range breakages {
		if !slices.Contains(named, b.name) {
			continue
		}
		for _, sys := range []*system{s.troupe, s.twin} {
			o, err := s.befall(ctx, sys, b, c)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%-18s %-13s %s\n", b.name, sys.name, o)
		}
		// What is left of this breakage is not for the next one.
		if err := s.twin.store.FlushAll(ctx).Err(); err != nil {
			return err
		}
		if err := s.twin.release(ctx, releaseFirst); err != nil {
			return err
		}
	}
	return nil
}
