// Command settle measures a running playground: how long orders take from POST until they are settled in the read model, and what
// all its processes cost while they do and while they idle. It reads processor time and memory from /proc (Linux).
//
//	go run ./loadtest/settle -orders 300 -every 50ms -idle 20s
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ticksPerSecond is the unit of processor time in /proc/PID/stat on Linux (sysconf _SC_CLK_TCK, 100 on every platform Go runs on).
const ticksPerSecond = 100

func main() {
	order := flag.String("order-url", "http://127.0.0.1:8081", "base URL of the order service")
	query := flag.String("query-url", "http://127.0.0.1:8084", "base URL of the query service")
	control := flag.String("control-url", "http://127.0.0.1:8089", "base URL of the playground's control door")
	orders := flag.Int("orders", 300, "orders to place")
	every := flag.Duration("every", 50*time.Millisecond, "time between two orders")
	idle := flag.Duration("idle", 20*time.Second, "how long to watch the playground do nothing")
	flag.Parse()
	if err := run(*order, *query, *control, *orders, *every, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "settle:", err)
		os.Exit(1)
	}
}

func run(order, query, control string, orders int, every, idle time.Duration) error {
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
			failed[i] = settle(order, query, fmt.Sprintf("settle-%s-%06d", run, i))
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

	before, _, err := cost(control)
	if err != nil {
		return err
	}
	began := time.Now()
	time.Sleep(idle)
	after, memory, err := cost(control)
	if err != nil {
		return err
	}
	share := float64(after-before) / ticksPerSecond / time.Since(began).Seconds()
	fmt.Printf("idle for %v: %.1f %% of one core and %d MB in all processes (%d cores, %s)\n", idle, 100*share, memory>>20, runtime.NumCPU(), runtime.GOARCH)
	return nil
}

// settle places one order and waits until the read model says that it is confirmed.
func settle(order, query, key string) error {
	body := `{"customer_id":"settle","email":"settle@example.com","currency":"EUR","payment_method":"pm_card_visa",` +
		`"lines":[{"sku":"TEA-250","name":"Green tea","quantity":2,"unit_price":1250}]}`
	req, err := http.NewRequest(http.MethodPost, order+"/orders", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	var placed struct {
		ID    string `json:"id"`
		Token string `json:"consistency_token"`
	}
	if err := call(req, &placed); err != nil {
		return err
	}
	if req, err = http.NewRequest(http.MethodGet, query+"/orders/"+placed.ID+"?until=settled", nil); err != nil {
		return err
	}
	req.Header.Set("Consistency-Token", placed.Token)
	req.Header.Set("Prefer", "wait=30")
	var read struct {
		Status  string `json:"status"`
		Settled bool   `json:"settled"`
	}
	if err := call(req, &read); err != nil {
		return err
	}
	if !read.Settled || read.Status != "confirmed" {
		return fmt.Errorf("order %s is %s, settled %v", placed.ID, read.Status, read.Settled)
	}
	return nil
}

func call(req *http.Request, into any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL, resp.Status, bytes.TrimSpace(body))
	}
	return json.Unmarshal(body, into)
}

// cost returns the processor time in ticks and the resident memory in bytes of all processes of the playground.
func cost(control string) (ticks, memory int64, err error) {
	req, err := http.NewRequest(http.MethodGet, control+"/processes", nil)
	if err != nil {
		return 0, 0, err
	}
	var list struct {
		Processes []struct {
			Name string `json:"name"`
			PID  int    `json:"pid"`
		} `json:"processes"`
	}
	if err := call(req, &list); err != nil {
		return 0, 0, err
	}
	for _, p := range list.Processes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if err != nil {
			return 0, 0, err
		}
		// proc(5): after the command's name in parentheses, fields 14 and 15 are utime and stime, 24 is the resident set in pages.
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(f) < 22 {
			return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", p.PID, len(f))
		}
		for i, into := range map[int]*int64{11: &ticks, 12: &ticks} {
			n, err := strconv.ParseInt(f[i], 10, 64)
			if err != nil {
				return 0, 0, err
			}
			*into += n
		}
		pages, err := strconv.ParseInt(f[21], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		memory += pages * int64(os.Getpagesize())
	}
	return ticks, memory, nil
}
