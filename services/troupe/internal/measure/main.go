// Command measure measures an idle playground: how long orders take to settle, one at a time, and what all its processes together
// cost in memory and processor time while nothing happens. scripts/measure-playground runs it. Linux only: it reads /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/services/troupe/internal/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/troupe-dev/troupe/services/troupe/internal/rest"
)

// ticks is USER_HZ, the unit of /proc/PID/stat, 100 on every Linux that Go runs on.
const ticks = 100

func main() {
	dir := flag.String("dir", ".play", "directory of the running playground")
	orders := flag.Int("orders", 500, "orders to place, one at a time")
	every := flag.Duration("every", 20*time.Millisecond, "pause between two orders")
	idle := flag.Duration("idle", 30*time.Second, "how long to watch the idle processes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *dir, *orders, *every, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, orders int, every, idle time.Duration) error {
	if orders < 1 || every < 0 || idle <= 0 {
		return errors.New("-orders must be at least 1, -every at least 0s, -idle more than 0s")
	}
	at, err := play.Find(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%s/%s, %d processors, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	// The first orders open connections and load scripts; they are not what is asked.
	if _, err := settle(ctx, at, 50, every); err != nil {
		return err
	}
	times, err := settle(ctx, at, orders, every)
	if err != nil {
		return err
	}
	slices.Sort(times)
	fmt.Printf("settled, POST to confirmed in the read model, %d orders one at a time: p50 %s, p99 %s, max %s\n",
		orders, rank(times, 50), rank(times, 99), times[len(times)-1].Round(100*time.Microsecond))
	return watch(ctx, at, idle)
}

func rank(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100].Round(100 * time.Microsecond)
}

// settle places orders one after the other and returns how long each took until a reader saw it confirmed.
func settle(ctx context.Context, at play.Playground, n int, every time.Duration) ([]time.Duration, error) {
	c := rest.New(at.Order, at.Query)
	times := make([]time.Duration, 0, n)
	for range n {
		began := time.Now()
		a, err := c.Place(ctx, uuid.NewString(), rest.PlaceOrder{
			CustomerID: "c-1001", Email: "ada@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa",
			Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
		})
		if err != nil {
			return nil, err
		}
		o, err := c.Order(ctx, a.ID, rest.Read{Token: a.Token, Wait: 30 * time.Second, UntilSettled: true})
		if err != nil {
			return nil, err
		}
		if o.Status != "confirmed" {
			return nil, fmt.Errorf("order %s is %s after 30s", a.ID, o.Status)
		}
		times = append(times, time.Since(began))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(every):
		}
	}
	return times, nil
}

// watch prints what each process costs while nothing happens.
func watch(ctx context.Context, at play.Playground, idle time.Duration) error {
	list, err := control.NewClient(at.Control).Processes(ctx)
	if err != nil {
		return err
	}
	type process struct {
		name   string
		pid    int
		before int64
	}
	all := []process{{name: "play", pid: at.PID}}
	for _, s := range list {
		all = append(all, process{name: s.Name, pid: s.PID})
	}
	for i := range all {
		if all[i].before, err = cpuTicks(all[i].pid); err != nil {
			return err
		}
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idle):
	}
	var cpu, together, resident float64
	for _, p := range all {
		after, err := cpuTicks(p.pid)
		if err != nil {
			return err
		}
		rss, err := memoryMiB(p.pid, "Rss")
		if err != nil {
			return err
		}
		pss, err := memoryMiB(p.pid, "Pss")
		if err != nil {
			return err
		}
		percent := float64(after-p.before) / ticks / time.Since(began).Seconds() * 100
		cpu, together, resident = cpu+percent, together+pss, resident+rss
		fmt.Printf("  %-14s %6.1f MiB, resident %6.1f MiB  %5.2f %% of one core\n", p.name, pss, rss, percent)
	}
	fmt.Printf("idle over %s, all together: %.0f MiB (each process's resident memory added up, shared pages again and again: %.0f MiB), "+
		"%.1f %% of one core\n", idle, together, resident, cpu)
	return nil
}

// cpuTicks is user and system time of a process.
func cpuTicks(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	field := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])) // the name may hold anything
	user, err1 := strconv.ParseInt(field[11], 10, 64)
	system, err2 := strconv.ParseInt(field[12], 10, 64)
	return user + system, errors.Join(err1, err2)
}

// memoryMiB reads a line such as "Rss: 1234 kB" of /proc/PID/smaps_rollup. Pss counts a page that n processes share as a nth each,
// so that the sum over all processes is what they take together: they run one program, and its code is in memory once.
func memoryMiB(pid int, name string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, name)
}
