// Command customers is a crowd of customers beside a running troupe, and the checker that looks afterwards whether its
// promises were kept. It runs in a pod of k8s/test; what was promised is kept in files of a folder, so that one check
// covers several runs:
//
//	customers orders -orders 1000 -rate 50    place so many, and fail when a request did
//	customers orders -rate 50                 the same, until "customers stop"
//	customers check                           wait for quiet, read everything, fail when a promise was broken
//	customers wait                            do nothing, until SIGTERM
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const (
	readEvery = 50 * time.Millisecond
	lookEvery = 100 * time.Millisecond
	// quietWithin bounds the wait for rest.
	quietWithin = 3 * time.Minute
	// dir keeps what was promised.
	dir      = "/tmp"
	stopFile = dir + "/stop"
)

// client comes by the services' names in the cluster.
var client = rest.New("http://order", "http://query")

// options are the flags.
type options struct {
	orders  int
	rate    float64
	retries bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "customers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("customers", flag.ContinueOnError)
	f.IntVar(&o.orders, "orders", 0, "orders to place; 0: until told to stop")
	f.Float64Var(&o.rate, "rate", 50, "orders a second")
	f.BoolVar(&o.retries, "retries", false, "requests may fail, and are sent again")
	if len(args) == 0 {
		return errors.New("needs one of orders, stop, check and wait")
	}
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "orders":
		return o.place(ctx)
	case "stop":
		return os.WriteFile(stopFile, nil, 0o600)
	case "check":
		return judge(ctx)
	case "wait":
		<-ctx.Done()
		return nil
	}
	return fmt.Errorf("needs one of orders, stop, check and wait, not %q", args[0])
}

// place lets customers order, some of whom cancel or have a bad card, and reads an order all the while.
func (o options) place(ctx context.Context) error {
	if err := os.Remove(stopFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	seed := uint64(time.Now().UnixNano())
	plan := load.Plan{
		Orders: o.orders, PerSecond: o.rate, Seed: seed, DeclinedOneIn: 10, CancelledOneIn: 8, SlowOneIn: 15,
	}
	if o.orders == 0 {
		stopped := make(chan struct{})
		plan.Orders, plan.More, plan.MorePerSecond = 1, stopped, o.rate
		go awaitStop(ctx, stopped) // ends with the file or with ctx
	}
	reading, end := context.WithCancel(ctx)
	defer end()
	var reads readers
	var work sync.WaitGroup
	work.Go(func() { reads.run(reading) })
	began := time.Now()
	result, err := plan.Run(ctx, []*rest.Client{client}, nil)
	end()
	work.Wait()
	if err != nil {
		return err
	}
	kept, err := json.Marshal(result.Expected)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "promised-"+strconv.FormatUint(seed, 16)+".json")
	if err := os.WriteFile(name, kept, 0o600); err != nil {
		return err
	}
	fmt.Printf("%d orders answered in %s, %d requests sent again, %d reads, %d of them failed\n", len(result.Expected),
		time.Since(began).Round(100*time.Millisecond), result.Retries, reads.done, len(reads.failed))
	if len(result.Violations) > 0 {
		return fmt.Errorf("the door broke its promise: %s", strings.Join(result.Violations, "; "))
	}
	if !o.retries && (result.Retries > 0 || len(reads.failed) > 0) {
		return fmt.Errorf("requests failed: %v; reads: %v", result.RetriedFor, reads.failed)
	}
	return nil
}

func awaitStop(ctx context.Context, stopped chan<- struct{}) {
	defer close(stopped)
	for wait.Sleep(ctx, lookEvery) == nil {
		if _, err := os.Stat(stopFile); err == nil {
			return
		}
	}
}

// readers read orders that are there.
type readers struct {
	done   int
	failed []string
}

// run reads what was promised by earlier runs, one order after the other, until ctx ends; nothing when there is none.
func (r *readers) run(ctx context.Context) {
	there, err := promised()
	if err != nil || len(there) == 0 {
		return
	}
	for n := 0; wait.Sleep(ctx, readEvery) == nil; n++ {
		_, err := client.Order(ctx, there[n%len(there)].ID, rest.Read{})
		if ctx.Err() != nil {
			return
		}
		if r.done++; err != nil {
			r.failed = append(r.failed, err.Error())
		}
	}
}

// promised is what all runs were answered.
func promised() ([]check.Expected, error) {
	files, err := filepath.Glob(filepath.Join(dir, "promised-*.json"))
	if err != nil {
		return nil, err
	}
	var all []check.Expected
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var some []check.Expected
		if err := json.Unmarshal(text, &some); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// judge holds the log, the gateway's ledger, the mailbox and the read model against each other and against what was
// promised.
func judge(ctx context.Context) error {
	expected, err := promised()
	if err != nil {
		return err
	}
	if len(expected) == 0 {
		return errors.New("no order was promised: there is nothing to check")
	}
	log, err := inspect.NewPlain([]string{"kafka:9092"})
	if err != nil {
		return err
	}
	defer log.Close()
	troupe := rig.Rig{
		Orders: []*rest.Client{client}, Log: log, RedisAddr: "redis:6379",
		Gateway: "http://gateway:8090", Mailbox: "http://smtp:8025",
	}
	report, err := rig.Judge(ctx, troupe.System(), expected, quietWithin, nil)
	if err != nil {
		return err
	}
	fmt.Println(report)
	if n := len(report.Violations); n > 0 {
		return fmt.Errorf("%d promises were broken, the first: %s", n, report.Violations[0])
	}
	return nil
}
