package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const (
	startWithin  = 30 * time.Second
	restartAfter = 200 * time.Millisecond
	// paymentDeadline of Troupe's orders; the twin has none.
	paymentDeadline = 10 * time.Minute
)

// system is one of the two that perform orders.
type system struct {
	name   string
	orders *rest.Client
	redis  *process
	store  *redis.Client
	// pids are its processes, without what both stand on, and without Troupe's console, which has no like in the twin.
	pids func(context.Context) ([]int, error)
	// kill kills the process that charges, and blocks until another one is there.
	kill func(context.Context) error
	// release takes another release into service.
	release func(context.Context, string) error
	// afterWipe is what an operator must do when the store was wiped.
	afterWipe func(context.Context) error
}

// stage has both systems at one gateway and one mailbox.
type stage struct {
	troupe, twin *system
	outside      *outside
	carrier      *httptest.Server
	diagnostics  string   // URL of the engine's own
	ends         []func() // what is undone at the end, the last first
}

// open starts everything in an empty directory, and leaves nothing running when it fails.
func open(ctx context.Context, troupe, dir string) (s *stage, err error) {
	s = &stage{}
	defer func() {
		if err != nil {
			s.close()
			err = fmt.Errorf("%w (logs are in %s)", err, dir)
		}
	}()
	if _, err := exec.LookPath("redis-server"); err != nil {
		return s, errors.New("redis-server is not installed (Debian: package redis-server)")
	}
	ports := rig.FreePorts(3)
	if ports == nil {
		return s, errors.New("no free ports")
	}
	addr := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", ports[n]) }
	// What Troupe keeps in Redis comes from its log; the engine keeps what there is of an order.
	ofTroupe, err := s.startRedis(ctx, filepath.Join(dir, "troupe-redis"), addr(0), "no")
	if err != nil {
		return s, err
	}
	ofTwin, err := s.startRedis(ctx, filepath.Join(dir, "twin-redis"), addr(1), "yes")
	if err != nil {
		return s, err
	}
	r, err := rig.Start(ctx, rig.Config{
		Troupe: troupe, Dir: filepath.Join(dir, "play"), Instances: 1, PaymentDeadline: paymentDeadline,
		Redis: addr(0), Direct: true,
	})
	if err != nil {
		return s, err
	}
	s.ends = append(s.ends, func() { _ = r.Stop() })
	s.outside = &outside{gateway: r.Gateway, mailbox: r.Mailbox}
	s.carrier = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.ends = append(s.ends, s.carrier.Close)
	s.troupe = s.performing("Troupe", ofTroupe, r.Orders[0])
	s.troupe.pids = func(ctx context.Context) ([]int, error) {
		list, err := r.Control.Processes(ctx)
		pids := []int{ofTroupe.pid()}
		for _, p := range list {
			if slices.Contains([]string{"order", "payment", "notification", "query", "broker"}, p.Name) {
				pids = append(pids, p.PID)
			}
		}
		return pids, err
	}
	s.troupe.kill = func(ctx context.Context) error { return r.Kill(ctx, "payment") }
	s.troupe.release = func(ctx context.Context, _ string) error {
		var errs []error
		for _, service := range rig.Services {
			errs = append(errs, r.Term(ctx, service))
		}
		return errors.Join(errs...)
	}
	s.troupe.afterWipe = func(context.Context) error { return nil }
	return s, s.openTwin(ctx, dir, addr(2), ofTwin, r)
}

func (s *stage) openTwin(ctx context.Context, dir, listen string, store *process, r *rig.Rig) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := func(release string) []string {
		return []string{
			self, "serve", "-listen", listen, "-redis", store.addr, "-gateway", r.Gateway, "-smtp", r.SMTP,
			"-carrier", s.carrier.URL, "-release", release,
		}
	}
	p := &process{log: filepath.Join(dir, "twin.log"), addr: listen, args: args(releaseFirst)}
	if err := p.start(ctx); err != nil {
		return err
	}
	s.ends = append(s.ends, p.stop)
	s.diagnostics = "http://" + listen + "/engine"
	s.twin = s.performing("orchestrated", store, rest.New("http://"+listen, "http://"+listen))
	s.twin.pids = func(context.Context) ([]int, error) { return []int{store.pid(), p.pid()}, nil }
	s.twin.kill = p.again
	s.twin.release = func(ctx context.Context, release string) error {
		p.args = args(release)
		return p.again(ctx)
	}
	s.twin.afterWipe = p.again
	return nil
}

func (s *stage) performing(name string, store *process, orders *rest.Client) *system {
	c := redis.NewClient(&redis.Options{Addr: store.addr})
	s.ends = append(s.ends, func() { _ = c.Close() })
	return &system{name: name, orders: orders, redis: store, store: c}
}

func (s *stage) close() {
	for _, end := range slices.Backward(s.ends) {
		end()
	}
}

func (s *stage) startRedis(ctx context.Context, dir, addr, appendonly string) (*process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	p := &process{log: filepath.Join(dir, "log"), addr: addr, args: []string{
		"redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", dir,
		"--save", "", "--appendonly", appendonly, "--appendfsync", "always",
	}}
	s.ends = append(s.ends, p.stop)
	return p, p.start(ctx)
}

// process is a child that listens at an address. One that ends by itself is started again, as a supervisor would.
type process struct {
	log, addr string
	args      []string

	mu      sync.Mutex
	child   *rig.Child
	stopped bool // on purpose
}

// start blocks until it listens.
func (p *process) start(ctx context.Context) error {
	p.mu.Lock()
	p.stopped = false
	err := p.spawn()
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return rig.Until(ctx, p.args[0]+" listens", func() (string, error) {
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err != nil {
			return err.Error(), nil
		}
		return "", conn.Close()
	})
}

// spawn starts the child; p.mu is held.
func (p *process) spawn() error {
	child, err := rig.StartChild(p.log, nil, p.args[0], p.args[1:]...)
	if err != nil {
		return err
	}
	p.child = child
	go func() { // ends a while after the child
		<-child.Ended()
		time.Sleep(restartAfter)
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.stopped && p.child == child {
			_ = p.spawn() // customers find out
		}
	}()
	return nil
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.child.PID()
}

// stop kills it.
func (p *process) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.child != nil {
		p.child.Kill()
	}
}

// again kills it and starts it.
func (p *process) again(ctx context.Context) error {
	p.stop()
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	return p.start(ctx)
}

// cpu is the processor time that the system's processes have used.
func (s *system) cpu(ctx context.Context) (time.Duration, error) {
	pids, err := s.pids(ctx)
	if err != nil {
		return 0, err
	}
	used, _, err := rig.Usage(pids...)
	return used, err
}
