package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Run is one measured run.
type Run struct {
	System string
	Orders int
	Took   time.Duration
	// CPU of the measured process and of its neighbours, from the first charge to the last document.
	CPU, BrokerCPU, RedisCPU time.Duration
	// RSS is the most memory the process ever held, in bytes.
	RSS int64
	// Back is how long it took from the wipe of Redis until orders placed then were done.
	Back    time.Duration
	Settled *Quantiles
	// Duplicates are events that the log holds twice.
	Duplicates int
}

// compare runs all systems in turns and prints the table. Before that, each runs once uncounted, unless it runs only once:
// a broker whose code is not compiled yet takes several times as long, and whoever came first would pay for it.
func compare(ctx context.Context, o options) error {
	var runs []Run
	first := 1
	if o.rounds > 1 {
		first = 0
	}
	for round := first; round <= o.rounds; round++ {
		for _, name := range o.systems() {
			if systems[name].raw && o.rate > 0 {
				continue
			}
			r, err := one(ctx, o, name)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", name, round, err)
			}
			if round > 0 {
				runs = append(runs, r)
			}
			fmt.Fprintf(os.Stderr, "%d/%d %-26s %s%s\n", round, o.rounds, name, r.Took.Round(time.Millisecond), r.wiped())
		}
	}
	return report(os.Stdout, o, runs)
}

func (r Run) wiped() string {
	if r.Back == 0 {
		return ""
	}
	return fmt.Sprintf(", back %s after Redis was wiped", r.Back.Round(time.Millisecond))
}

// one prepares the broker and Redis, starts a worker, and verifies what it did.
func one(ctx context.Context, o options, name string) (Run, error) {
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	sys := systems[name]
	b, err := openBroker(o.kafka) // a new one for each run: clients remember topics that are deleted here
	if err != nil {
		return Run{}, err
	}
	defer b.close()
	rdb := redis.NewClient(&redis.Options{Addr: o.redis})
	defer func() { _ = rdb.Close() }()
	if err := errors.Join(rdb.FlushAllAsync(ctx).Err(), b.fresh(ctx, o, sys)); err != nil {
		return Run{}, err
	}
	if o.rate == 0 {
		if err := b.place(ctx, o, sys, 0, o.orders, 0); err != nil {
			return Run{}, err
		}
	}
	first, last, back, err := perform(ctx, o, b, rdb, name)
	if err != nil {
		return Run{}, err
	}
	began := time.Now()
	duplicates, err := b.verify(ctx, o, sys)
	if back > 0 {
		fmt.Fprintf(os.Stderr, "all topics read by a client that only counts: %s\n", time.Since(began).Round(time.Millisecond))
	}
	return Run{
		System: name, Orders: o.orders, Took: last.At.Sub(first.At), CPU: last.CPU - first.CPU,
		BrokerCPU: last.broker - first.broker, RedisCPU: last.redis - first.redis, RSS: last.RSS, Settled: last.Settled, Duplicates: duplicates, Back: back,
	}, err
}

// sample is a worker's reading with what its neighbours had used at that moment.
type sample struct {
	Reading
	broker, redis time.Duration
}

// tell says what a part of a run took.
func (s sample) tell(orders int, before sample) {
	each := func(now, then time.Duration) time.Duration {
		return ((now - then) / time.Duration(orders)).Round(time.Microsecond)
	}
	fmt.Fprintf(os.Stderr, "%d orders in %s: %s of processor time each, the broker %s, redis %s; %d MB held\n", orders,
		s.At.Sub(before.At).Round(time.Millisecond), each(s.CPU, before.CPU), each(s.broker, before.broker), each(s.redis, before.redis), s.Holds>>20)
}

// java is the command line of kafka-streams, whose state stores lie in a directory. Its heap is as large as the broker's.
func (o options) java(state string) []string {
	charging := o.threads
	if o.charge > 0 {
		charging = o.partitions
	}
	return []string{
		"-Xms512m", "-Xmx1g", "-cp", filepath.Join(o.streams, "classes") + ":" + filepath.Join(o.streams, "libs", "*"),
		"-Dkafka=" + o.kafka, "-Dstate=" + state, "-Dorders=" + strconv.Itoa(o.orders), "-Devery=" + strconv.Itoa(o.every),
		"-Dcharge=" + strconv.FormatInt(o.charge.Microseconds(), 10), "-Dcommit=" + strconv.FormatInt(o.commit.Milliseconds(), 10),
		"-Dthreads=" + strconv.Itoa(o.threads), "-Dcharging=" + strconv.Itoa(charging), "Streams",
	}
}

// perform runs the worker, and with a rate sends the orders meanwhile.
func perform(ctx context.Context, o options, b *testBroker, rdb *redis.Client, name string) (first, last sample, back time.Duration, err error) {
	worker, as := os.Args[0], name
	if changed := systems[name].worker; changed != "" {
		worker, as = changed, "troupe"
	}
	args := []string{
		"-worker", "-system", as, "-kafka", o.kafka, "-redis", o.redis,
		"-orders", strconv.Itoa(o.orders), "-partitions", strconv.Itoa(o.partitions), "-charge", o.charge.String(),
		"-concurrency", strconv.Itoa(o.concurrency), "-profile", o.profile, "-flush", strconv.Itoa(o.flush),
		"-every", strconv.Itoa(o.every),
	}
	if systems[name].java {
		state, err := os.MkdirTemp("", "streams")
		if err != nil {
			return first, last, back, err
		}
		defer func() { _ = os.RemoveAll(state) }()
		worker, args = "java", o.java(state)
	}
	cmd := exec.CommandContext(ctx, worker, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "OTEL_SERVICE_NAME=bench")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return first, last, back, err
	}
	if err := cmd.Start(); err != nil {
		return first, last, back, err
	}
	sent := make(chan error, 1)
	go func() { // received below
		if o.rate == 0 {
			sent <- nil
			return
		}
		sent <- b.place(ctx, o, systems[name], 0, o.orders, o.rate)
	}()
	var wiped time.Time
	var before sample
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var r Reading
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return first, last, back, errors.Join(fmt.Errorf("the worker said %q: %w", lines.Text(), err), cmd.Cancel(), cmd.Wait(), <-sent)
		}
		s := sample{Reading: r, broker: b.cpu(), redis: cpuOfRedis(ctx, rdb)}
		if o.every > 0 && r.Event != "back" {
			if r.Event != "first" {
				s.tell(o.every, before)
			}
			before = s
		}
		switch r.Event {
		case "first":
			first = s
		case "last":
			last = s
			if o.flush > 0 {
				wiped = time.Now()
				if err := errors.Join(rdb.FlushAll(ctx).Err(), b.place(ctx, o, systems[name], o.orders, o.flush, 0)); err != nil {
					return first, last, back, errors.Join(err, cmd.Cancel(), cmd.Wait(), <-sent)
				}
			}
		case "back":
			back = r.At.Sub(wiped)
		}
	}
	err = errors.Join(cmd.Wait(), <-sent)
	if err == nil && (first.At.IsZero() || last.At.IsZero()) {
		err = errors.New("the worker ended without having done all orders")
	}
	return first, last, back, err
}
