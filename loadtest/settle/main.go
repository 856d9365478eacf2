// Command settle measures a running playground: how long orders take from POST until they are settled in the read model, and what
// all its processes cost while they do and while they idle. It reads processor time and memory from /proc (Linux).
//
//	go run ./loadtest/settle -orders 300 -every 50ms -idle 20s
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// ticksPerSecond is the unit of processor time in /proc/PID/stat on Linux (sysconf _SC_CLK_TCK, 100 on every platform Go runs on).
const ticksPerSecond = 100

// settleWithin bounds the wait for one order.
const settleWithin = 30 * time.Second

func main() {
	order := flag.String("order-url", "http://127.0.0.1:8081", "base URL of the order service")
	query := flag.String("query-url", "http://127.0.0.1:8084", "base URL of the query service")
	door := flag.String("control-url", "http://127.0.0.1:8089", "base URL of the playground's control door")
	orders := flag.Int("orders", 300, "orders to place")
	every := flag.Duration("every", 50*time.Millisecond, "time between two orders")
	idle := flag.Duration("idle", 20*time.Second, "how long to watch the playground do nothing")
	flag.Parse()
	if err := run(rest.New(*order, *query), control.NewClient(*door), *orders, *every, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "settle:", err)
		os.Exit(1)
	}
}

func run(c *rest.Client, playground *control.Client, orders int, every, idle time.Duration) error {
	ctx := context.Background() // a Ctrl-C ends it
	if orders < 1 || every <= 0 || idle <= 0 {
		return errors.New("-orders must be 1 at least, -every and -idle more than 0")
	}
	took := make([]time.Duration, orders)
	failed := make([]error, orders)
	var wg sync.WaitGroup
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range orders {
		<-tick.C
		wg.Go(func() {
			began := time.Now()
			failed[i] = settle(ctx, c, fmt.Sprintf("settle-%s-%06d", run, i))
			took[i] = time.Since(began)
		})
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	slices.Sort(took)
	at := func(p float64) time.Duration { return took[int(p*float64(orders-1))].Round(100 * time.Microsecond) }
	fmt.Printf("%d orders, one every %v: from POST to confirmed in the read model p50 %v, p99 %v, minimum %v, maximum %v\n",
		orders, every, at(.5), at(.99), at(0), at(1))

	before, _, err := cost(ctx, playground)
	if err != nil {
		return err
	}
	began := time.Now()
	time.Sleep(idle)
	after, memory, err := cost(ctx, playground)
	if err != nil {
		return err
	}
	share := float64(after-before) / ticksPerSecond / time.Since(began).Seconds()
	fmt.Printf("idle for %v: %.1f %% of one core and %d MB in all processes (%d cores, %s)\n", idle, 100*share, memory>>20, runtime.NumCPU(), runtime.GOARCH)
	return nil
}

// settle places one order and waits until the read model says that it is confirmed.
func settle(ctx context.Context, c *rest.Client, key string) error {
	placed, err := c.Place(ctx, key, rest.PlaceOrder{
		CustomerID: "settle", Email: "settle@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa",
		Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
	})
	if err != nil {
		return err
	}
	o, err := c.Order(ctx, placed.ID, rest.Read{Token: placed.ConsistencyToken, Wait: settleWithin, UntilSettled: true})
	if err == nil && (!o.Settled || o.Status != "confirmed") {
		err = fmt.Errorf("order %s is %s, settled %v", placed.ID, o.Status, o.Settled)
	}
	return err
}

// cost returns the processor time in ticks and the resident memory in bytes of all processes of the playground.
func cost(ctx context.Context, c *control.Client) (ticks, memory int64, err error) {
	list, err := c.Processes(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range list {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if err != nil {
			return 0, 0, err
		}
		// proc(5): after the command's name in parentheses, fields 14 and 15 are utime and stime, 24 is the resident set in pages.
		var user, system, pages int64
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 22 {
			return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", p.PID, len(f))
		}
		if _, err := fmt.Sscan(f[11]+" "+f[12]+" "+f[21], &user, &system, &pages); err != nil {
			return 0, 0, fmt.Errorf("/proc/%d/stat: %w", p.PID, err)
		}
		ticks, memory = ticks+user+system, memory+pages*int64(os.Getpagesize())
	}
	return ticks, memory, nil
}
