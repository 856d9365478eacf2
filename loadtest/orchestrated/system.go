package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/measure"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// paymentDeadline of Troupe's orders; the twin has none.
const paymentDeadline = 10 * time.Minute

// system is one of the two that perform orders.
type system struct {
	name   string
	orders *rest.Client
	redis  *rig.Server
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
	ofTroupe, err := rig.StartRedis(ctx, filepath.Join(dir, "troupe-redis"), ports[0])
	s.ends = append(s.ends, ofTroupe.Kill)
	if err != nil {
		return s, err
	}
	// What Troupe keeps in Redis comes from its log; the engine keeps what there is of an order.
	ofTwin, err := rig.StartRedis(ctx, filepath.Join(dir, "twin-redis"), ports[1],
		"--appendonly", "yes", "--appendfsync", "always")
	s.ends = append(s.ends, ofTwin.Kill)
	if err != nil {
		return s, err
	}
	r, err := rig.Start(ctx, rig.Config{
		Troupe: troupe, Dir: filepath.Join(dir, "play"), Instances: 1, PaymentDeadline: paymentDeadline,
		Redis: ofTroupe.Addr, Direct: true,
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
		pids := []int{ofTroupe.PID()}
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
	return s, s.openTwin(ctx, dir, fmt.Sprintf("127.0.0.1:%d", ports[2]), ofTwin, r)
}

func (s *stage) openTwin(ctx context.Context, dir, listen string, store *rig.Server, r *rig.Rig) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := func(release string) []string {
		return []string{
			self, "serve", "-listen", listen, "-redis", store.Addr, "-gateway", r.Gateway, "-smtp", r.SMTP,
			"-carrier", s.carrier.URL, "-release", release,
		}
	}
	p := &rig.Server{Addr: listen, Log: filepath.Join(dir, "twin.log"), Args: args(releaseFirst), Revived: true}
	s.ends = append(s.ends, p.Kill)
	if err := p.Start(ctx); err != nil {
		return err
	}
	s.diagnostics = "http://" + listen + "/engine"
	s.twin = s.performing("orchestrated", store, rest.New("http://"+listen, "http://"+listen))
	s.twin.pids = func(context.Context) ([]int, error) { return []int{store.PID(), p.PID()}, nil }
	s.twin.kill = p.Again
	s.twin.release = func(ctx context.Context, release string) error {
		p.Args = args(release)
		return p.Again(ctx)
	}
	s.twin.afterWipe = p.Again
	return nil
}

func (s *stage) performing(name string, store *rig.Server, orders *rest.Client) *system {
	c := redis.NewClient(&redis.Options{Addr: store.Addr})
	s.ends = append(s.ends, func() { _ = c.Close() })
	return &system{name: name, orders: orders, redis: store, store: c}
}

func (s *stage) close() {
	for _, end := range slices.Backward(s.ends) {
		end()
	}
}

// cpu is the processor time that the system's processes have used.
func (s *system) cpu(ctx context.Context) (time.Duration, error) {
	pids, err := s.pids(ctx)
	if err != nil {
		return 0, err
	}
	used, _, err := measure.Usage(pids...)
	return used, err
}
