// Command settle measures a running playground: how long orders take from POST until they are settled in the read model, and what
// all its processes cost while they do and while they idle. It reads processor time and memory from /proc (Linux).
//
//	go run ./loadtest/settle -orders 300 -every 50ms -idle 20s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/loadtest/measure"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

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
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	took, err := measure.OpenLoop(ctx, orders, 1/every.Seconds(), func(n int) error {
		return load.Settle(ctx, c, fmt.Sprintf("settle-%s-%06d", run, n))
	})
	if err != nil {
		return err
	}
	at := func(share float64) time.Duration { return took.At(share).Round(100 * time.Microsecond) }
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
	share := (after - before).Seconds() / time.Since(began).Seconds()
	fmt.Printf("idle for %v: %.1f %% of one core and %d MB in all processes (%d cores, %s)\n", idle, 100*share, memory>>20, runtime.NumCPU(), runtime.GOARCH)
	return nil
}

// cost returns the processor time and the resident memory in bytes of all processes of the playground.
func cost(ctx context.Context, c *control.Client) (used time.Duration, memory int64, err error) {
	list, err := c.Processes(ctx)
	if err != nil {
		return 0, 0, err
	}
	var pids []int
	for _, p := range list {
		pids = append(pids, p.PID)
	}
	return measure.Usage(pids...)
}
