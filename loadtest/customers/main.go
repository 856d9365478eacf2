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

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const (
	readEvery = 50 * time.Millisecond
	lookEvery = 100 * time.Millisecond
)

// options are the flags, and where everything is.
type options struct {
	order, query, gateway, mailbox, kafka, redis, dir string

	orders, partitions int
	rate               float64
	retries            bool
	quiet              time.Duration
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
	f.StringVar(&o.order, "order", "http://order", "base URL of the order service")
	f.StringVar(&o.query, "query", "http://query", "base URL of the query service")
	f.StringVar(&o.gateway, "gateway", "http://gateway:8090", "base URL of the gateway simulator")
	f.StringVar(&o.mailbox, "mailbox", "http://smtp:8025", "base URL of the mailbox")
	f.StringVar(&o.kafka, "kafka", "kafka:9092", "brokers")
	f.StringVar(&o.redis, "redis", "redis:6379", "address of Redis")
	f.StringVar(&o.dir, "dir", "/tmp", "folder that keeps what was promised")
	f.IntVar(&o.partitions, "partitions", 12, "partitions of every topic")
	f.IntVar(&o.orders, "orders", 0, "orders to place; 0: until told to stop")
	f.Float64Var(&o.rate, "rate", 50, "orders a second")
	f.BoolVar(&o.retries, "retries", false, "requests may fail, and are sent again")
	f.DurationVar(&o.quiet, "quiet", 3*time.Minute, "how long to wait for quiet")
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
		return os.WriteFile(o.stopFile(), nil, 0o600)
	case "check":
		return o.check(ctx)
	case "wait":
		<-ctx.Done()
		return nil
	}
	return fmt.Errorf("needs one of orders, stop, check and wait, not %q", args[0])
}

func (o options) stopFile() string { return filepath.Join(o.dir, "stop") }

// place lets customers order, some of whom cancel or have a bad card, and reads an order all the while.
func (o options) place(ctx context.Context) error {
	if err := os.Remove(o.stopFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	seed := uint64(time.Now().UnixNano())
	plan := load.Plan{
		Orders: o.orders, PerSecond: o.rate, Seed: seed, DeclinedOneIn: 10, CancelledOneIn: 8, SlowOneIn: 15,
	}
	if o.orders == 0 {
		stopped := make(chan struct{})
		plan.Orders, plan.More, plan.MorePerSecond = 1, stopped, o.rate
		go o.awaitStop(ctx, stopped) // ends with the file or with ctx
	}
	client := rest.New(o.order, o.query)
	reading, end := context.WithCancel(ctx)
	defer end()
	var reads readers
	var work sync.WaitGroup
	work.Go(func() { reads.run(reading, client, o.promised) })
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
	name := filepath.Join(o.dir, "promised-"+strconv.FormatUint(seed, 16)+".json")
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

func (o options) awaitStop(ctx context.Context, stopped chan<- struct{}) {
	defer close(stopped)
	for wait.Sleep(ctx, lookEvery) == nil {
		if _, err := os.Stat(o.stopFile()); err == nil {
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
func (r *readers) run(ctx context.Context, c *rest.Client, promised func() ([]check.Expected, error)) {
	there, err := promised()
	if err != nil || len(there) == 0 {
		return
	}
	for n := 0; wait.Sleep(ctx, readEvery) == nil; n++ {
		_, err := c.Order(ctx, there[n%len(there)].ID, rest.Read{})
		if ctx.Err() != nil {
			return
		}
		if r.done++; err != nil {
			r.failed = append(r.failed, err.Error())
		}
	}
}

// promised is what all runs were answered.
func (o options) promised() ([]check.Expected, error) {
	files, err := filepath.Glob(filepath.Join(o.dir, "promised-*.json"))
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

// check holds the log, the gateway's ledger, the mailbox and the read model against each other and against what was
// promised.
func (o options) check(ctx context.Context) (err error) {
	expected, err := o.promised()
	if err != nil {
		return err
	}
	if len(expected) == 0 {
		return errors.New("no order was promised: there is nothing to check")
	}
	log, err := inspect.NewPlain(strings.Split(o.kafka, ","))
	if err != nil {
		return err
	}
	defer log.Close()
	redis := taskstore.Config{Addrs: strings.Split(o.redis, ",")}
	s := inspect.System{
		Log: log, Partitions: o.partitions, Orders: rest.New(o.order, o.query), Gateway: o.gateway, Mailbox: o.mailbox,
		Parked: map[string]bool{},
		Read: func(ctx context.Context, id string) (any, bool, error) {
			doc, ok, err := query.ReadOrder(ctx, redis, o.partitions, id)
			return doc, ok, err
		},
		Fold: func(records []broker.Record) any { return query.FoldOrder(records) },
	}
	quiet, done := context.WithTimeout(ctx, o.quiet)
	defer done()
	if err := inspect.Quiet(quiet, s, expected, nil); err != nil {
		return err
	}
	report, err := inspect.Run(ctx, s, expected)
	if err != nil {
		return err
	}
	fmt.Println(report)
	if n := len(report.Violations); n > 0 {
		return fmt.Errorf("%d promises were broken, the first: %s", n, report.Violations[0])
	}
	return nil
}
