package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"github.com/troupe-dev/troupe/loadtest/measure"
)

// Reading is what a worker says when the first order is worked on, when every so many have reached the read model, when the last one has,
// and when those have that were placed after Redis was wiped.
type Reading struct {
	Event string    `json:"event"` // first, passed, last, or back after Redis was wiped
	At    time.Time `json:"at"`
	// CPU of this process so far, user and system.
	CPU time.Duration `json:"cpu"`
	// RSS is the most memory the process ever held, in bytes; Holds is what it holds now.
	RSS   int64 `json:"rss"`
	Holds int64 `json:"holds"`
	// Settled is the time from when an order was due until the read model had its last event, in microseconds; only with last.
	Settled *Quantiles `json:"settled,omitempty"`
}

// Quantiles of a distribution, in microseconds.
type Quantiles struct{ P50, P99 int64 }

func read(what string) (Reading, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return Reading{}, err
	}
	_, holds, err := measure.Usage(os.Getpid()) // its processor time is in steps of 10 ms
	return Reading{
		Event: what, At: time.Now(), CPU: time.Duration(u.Utime.Nano() + u.Stime.Nano()), RSS: u.Maxrss << 10, Holds: holds,
	}, err
}

// work performs with one peer until all orders are in the read model, then says what it took. Only the worker's own process is measured.
func work(ctx context.Context, o options) error {
	peer, ok := systems[o.system]
	if !ok {
		return fmt.Errorf("-system: there is no %q", o.system)
	}
	if o.profile != "" {
		f, err := os.Create(filepath.Join(o.profile, o.system+".pprof"))
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return errors.Join(err, f.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			_ = f.Close()
			if f, err := os.Create(filepath.Join(o.profile, o.system+".allocs.pprof")); err == nil {
				_ = errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
			}
		}()
	}
	ctx, finish := context.WithCancel(ctx)
	defer finish()
	c := counting{
		arrived: make([]bool, o.orders+o.flush), moved: map[string]int64{}, wanted: o.orders, more: o.flush, every: o.every, settled: hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3),
	}
	c.all = sync.OnceFunc(func() {
		c.say("last")
		if o.flush == 0 {
			finish()
		}
	})
	c.back = sync.OnceFunc(func() {
		c.say("back")
		finish()
	})
	e := &flow.Env{
		Brokers: []string{o.kafka}, Redis: redis.NewClient(&redis.Options{Addr: o.redis}), Partitions: o.partitions,
		Charge: o.charge, Concurrency: o.concurrency,
		First: func() { c.say("first") }, Done: c.done, Moved: c.movedTo,
	}
	defer func() { _ = e.Redis.Close() }()
	err := peer.run(ctx, e)
	if c.err != nil || ctx.Err() == nil {
		return errors.Join(err, c.err)
	}
	return nil // ended because all was done; what a peer says on its way out is not measured
}

// counting knows which orders have arrived.
type counting struct {
	mu      sync.Mutex
	arrived []bool // by the order's number
	n       int
	moved   map[string]int64
	wanted  int
	more    int // orders that are placed after Redis was wiped
	every   int // how many between two readings; 0: none
	settled *hdrhistogram.Histogram
	all     func()
	back    func()
	err     error
}

func (c *counting) done(id string, due time.Time) {
	n, err := flow.Number(id)
	c.mu.Lock()
	c.err = errors.Join(c.err, err)
	if err != nil || n >= len(c.arrived) || c.arrived[n] {
		c.mu.Unlock()
		return
	}
	c.arrived[n] = true
	c.n++
	_ = c.settled.RecordValue(max(1, time.Since(due).Microseconds())) // beyond an hour: counted as the longest
	over, back := c.n == c.wanted, c.more > 0 && c.n == c.wanted+c.more
	passed := c.every > 0 && c.n%c.every == 0 && !over
	c.mu.Unlock()
	switch {
	case over:
		c.all()
	case back:
		c.back()
	case passed:
		c.say("passed")
	}
}

// movedTo counts for the raw limit: all is done when the last topic was read to as many records as there are orders.
func (c *counting) movedTo(topic string, partition int, next int64) {
	c.mu.Lock()
	c.moved[fmt.Sprint(topic, partition)] = next
	var sum int64
	for _, n := range c.moved {
		sum += n
	}
	over := sum == int64(len(flow.Topics)*c.wanted)
	c.mu.Unlock()
	if over {
		c.all()
	}
}

// say writes a reading to standard output, one JSON document a line.
func (c *counting) say(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := read(what)
	if what == "last" && c.settled.TotalCount() > 0 {
		r.Settled = &Quantiles{P50: c.settled.ValueAtQuantile(50), P99: c.settled.ValueAtQuantile(99)}
	}
	c.err = errors.Join(c.err, err, json.NewEncoder(os.Stdout).Encode(r))
}
