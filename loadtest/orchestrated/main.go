// Command orchestrated performs Troupe's order flow by a conductor, a workflow engine, beside Troupe itself: at the
// same gateway and mailbox, with the same customers, the same faults and the same judge. README.md says how to run it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	perform := run
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		perform = func() error { return serve(os.Args[2:]) }
	}
	if err := perform(); err != nil {
		fmt.Fprintln(os.Stderr, "orchestrated:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	var names []string
	for _, b := range breakages {
		names = append(names, b.name)
	}
	troupe := flag.String("troupe", "../../bin/troupe", "program to stand beside")
	orders := flag.Int("orders", 3400, "orders in each round")
	rate := flag.Float64("rate", 340, "orders a second")
	rounds := flag.Int("rounds", 3, "rounds of each system that count; 0: nothing is measured")
	idle := flag.Duration("idle", 15*time.Second, "how long to watch both do nothing")
	faults := flag.String("faults", strings.Join(names, ","), "what befalls both, separated by commas; empty: nothing")
	crowded := flag.Int("crowd", 300, "orders while something breaks, 20 a second")
	within := flag.Duration("within", 30*time.Second, "how long to wait until nothing is wrong")
	flag.Parse()
	named := strings.FieldsFunc(*faults, func(r rune) bool { return r == ',' })
	switch unknown := slices.IndexFunc(named, func(f string) bool { return !slices.Contains(names, f) }); {
	case unknown >= 0:
		return fmt.Errorf("-faults: no fault %q; there are %s", named[unknown], strings.Join(names, ", "))
	case *orders < 1 || *rate <= 0 || *rounds < 0 || *crowded < 1 || *idle <= 0:
		return errors.New("-orders and -crowd must be 1 at least, -rate and -idle more than 0, -rounds not negative")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "orchestrated-")
	if err != nil {
		return err
	}
	s, err := open(ctx, *troupe, dir)
	if err != nil {
		return err
	}
	defer func() {
		s.close()
		if err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	if *rounds > 0 {
		if err := s.compare(ctx, os.Stdout, *orders, *rate, *rounds, *idle); err != nil {
			return err
		}
	}
	return s.breakAll(ctx, os.Stdout, named, crowd{*crowded, 20, *within})
}
