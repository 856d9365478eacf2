// Command controls takes the guards of the product away, one at a time, and looks whether the proof notices:
//
//	go run ./loadtest/prove/controls                      all of them
//	go run ./loadtest/prove/controls -only no-seen-check  one
//	go run ./loadtest/prove/controls -sample 3            three, drawn from -seed
//	go run ./loadtest/prove/controls -simulate 3000       the simulation instead of the proof
//
// It must be run from the repository's root. Each control is a change of the source (go build -overlay, nothing is written there) and a
// scene: a few orders, and the one fault at which the guard counts. A control passes when a promise is broken that it must break; the
// product as it is plays every scene first, and must keep all of them. It exits with 0 when all controls pass, with 1 when not, with 2
// when the flags are wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

type options struct {
	root, only, report string
	sample, simulate   int
	seed               uint64
	controls           []Control // all that there are
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controls:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	do := o.prove
	if o.simulate > 0 {
		do = o.simulateAll
	}
	passed, err := do(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "controls:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

func parse(args []string, out io.Writer) (o options, err error) {
	f := flag.NewFlagSet("controls", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.only, "only", "", "only these controls, separated by commas")
	f.IntVar(&o.sample, "sample", 0, "so many, drawn from -seed; 0: all")
	f.Uint64Var(&o.seed, "seed", rand.Uint64()>>32, "what -sample is drawn from; fresh when it is not given")
	f.StringVar(&o.report, "report", "", "directory for controls.json and junit.xml; empty: none")
	f.IntVar(&o.simulate, "simulate", 0, "play so many schedules of the simulation on each control instead")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("there are flags only, not %q", f.Args())
	case o.sample < 0:
		return o, fmt.Errorf("-sample must be 0 or more, is %d", o.sample)
	case o.simulate < 0:
		return o, fmt.Errorf("-simulate must be 0 or more, is %d", o.simulate)
	}
	if o.root, err = filepath.Abs("."); err != nil {
		return o, err
	}
	if _, err := os.Stat(filepath.Join(o.root, "go.work")); err != nil {
		return o, fmt.Errorf("run it from the repository's root: %w", err)
	}
	if o.controls, err = readList(); err != nil {
		return o, err
	}
	var known []string
	for _, c := range o.controls {
		known = append(known, c.ID)
	}
	for _, id := range o.ids() {
		if !slices.Contains(known, id) {
			return o, fmt.Errorf("-only: no control %q; there are %s", id, strings.Join(known, ", "))
		}
	}
	return o, nil
}

func (o options) ids() []string {
	return strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' || r == ' ' })
}

// chosen are the controls that are asked for and of use.
func (o options) chosen(of func(Control) bool) []Control {
	ids := o.ids()
	all := slices.DeleteFunc(slices.Clone(o.controls), func(c Control) bool {
		return !of(c) || len(ids) > 0 && !slices.Contains(ids, c.ID)
	})
	if o.sample > 0 && o.sample < len(all) {
		r := rand.New(rand.NewPCG(o.seed, 0))
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:o.sample]
	}
	return all
}
