// Package e2e performs with the whole troupe in a playground, breaks things from outside, and checks every promise afterwards. With
// TEST_KAFKA_BROKERS or TEST_REDIS_ADDR it does so on a real Kafka or Redis, which it empties first.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const partitions = 12

// binary is the troupe program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "troupe-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "troupe")
		build := exec.Command("go", "build", "-ldflags=-s", "-o", binary, "../cmd/troupe")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build troupe:", err)
			return 1
		}
		return m.Run()
	}())
}

// playground is a running troupe.
type playground struct {
	play.Playground
	dir     string
	control *control.Client
	orders  *rest.Client
	log     *inspect.Plain
	cmd     *exec.Cmd
	ended   chan error
}

// onReal says whether the tests share a broker or a Redis, which each empties first.
var onReal = os.Getenv("TEST_KAFKA_BROKERS") != "" || os.Getenv("TEST_CONTAINERS") != "" || os.Getenv("TEST_REAL") != "" ||
	os.Getenv("TEST_REDIS_ADDR") != ""

// start does what alone does, beside other tests where they share nothing.
func start(t *testing.T, args ...string) *playground {
	t.Helper()
	if !onReal {
		t.Parallel()
	}
	return alone(t, args...)
}

// alone plays until the test ends, and checks then that it stops cleanly and leaves nothing behind.
func alone(t *testing.T, args ...string) *playground {
	t.Helper()
	p := &playground{dir: t.TempDir(), ended: make(chan error, 1)}
	args = append([]string{"play", "--auth", "off", "--ports", "auto", "--dir", p.dir}, args...)
	if onReal && !slices.Contains(args, "--kafka-brokers") {
		args = append(args, "--kafka-brokers", strings.Join(brokertest.Fresh(t).Brokers, ","))
	}
	if os.Getenv("TEST_REDIS_ADDR") != "" && !slices.Contains(args, "--redis-addr") {
		args = append(args, "--redis-addr", storetest.Addr(t))
	}
	out, err := os.Create(filepath.Join(p.dir, "play.log"))
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }() // stop receives it
	t.Cleanup(func() {
		p.stop(t)
		_ = out.Close()
		if t.Failed() {
			t.Logf("the playground's log is in %s", keep(t, out.Name()))
		}
	})
	p.awaitReady(t)
	p.control = control.NewClient(p.Control)
	p.orders = rest.New(p.Order, p.Query)
	if p.log, err = inspect.NewPlain(p.Kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.log.Close)
	return p
}

func (p *playground) awaitReady(t *testing.T) {
	t.Helper()
	began := time.Now()
	eventually(t, time.Minute, "the playground is ready", func() error {
		select {
		case err := <-p.ended:
			p.ended <- err
			t.Fatalf("the playground ended: %v", err)
		default:
		}
		var err error
		p.Playground, err = play.Find(p.dir)
		return err
	})
	t.Logf("ready after %s", time.Since(began).Round(time.Millisecond))
}

func (p *playground) stop(t *testing.T) {
	t.Helper()
	var pids []int
	if p.control != nil {
		list, err := p.control.Processes(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Errorf("list the processes before the end: %v", err)
		}
		for _, s := range list {
			pids = append(pids, s.PID)
		}
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended; what it ended with counts
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("the playground ended with %v", err)
		}
	case <-time.After(90 * time.Second):
		_ = p.cmd.Process.Kill()
		t.Errorf("the playground did not stop: %v", <-p.ended)
	}
	for _, pid := range pids {
		if pid != 0 && !gone(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}

// do breaks something; what is being started again at the moment is tried again.
func (p *playground) do(t *testing.T, process, action string) {
	t.Helper()
	eventually(t, 30*time.Second, action+" "+process, func() error { return p.control.Do(t.Context(), process, action) })
}

func (p *playground) system() inspect.System {
	redis := taskstore.Config{Addrs: []string{p.Redis}}
	return inspect.System{
		Log: p.log, Partitions: partitions, Orders: p.orders, Gateway: p.Gateway, Mailbox: p.Mailbox,
		Read: func(ctx context.Context, id string) (any, bool, error) {
			doc, ok, err := query.ReadOrder(ctx, redis, partitions, id)
			return doc, ok, err
		},
		Fold: func(records []broker.Record) any { return query.FoldOrder(records) },
	}
}

// verify waits until nothing moves any more and checks every promise.
func (p *playground) verify(t *testing.T, within time.Duration, expected []check.Expected) *check.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	began := time.Now()
	if err := inspect.Quiet(ctx, p.system(), expected, nil); err != nil {
		t.Errorf("after %s: %v", within, err)
	} else {
		t.Logf("quiet after %s", time.Since(began).Round(time.Millisecond))
	}
	r, err := inspect.Run(t.Context(), p.system(), expected)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", r)
	if len(r.Violations) > 0 {
		t.Errorf("%d promises are broken", len(r.Violations))
	}
	return r
}

// eventually fails the test when f does not return nil in time.
func eventually(t *testing.T, within time.Duration, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, within, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// keep copies a file to where it outlives the test.
func keep(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.CreateTemp("", "troupe-e2e-*.log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Write(b); err != nil {
		t.Error(err)
	}
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
	return kept.Name()
}
