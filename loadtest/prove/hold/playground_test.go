package hold_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

var services = []string{"order", "payment", "notification", "query"}

// playground is a whole troupe, each service behind the proxies.
type playground struct {
	t       *testing.T
	proxies *hold.Proxies
	control *control.Client
	orders  *rest.Client
	placed  []string
}

// ports returns n free addresses.
func ports(t *testing.T, n int) (addrs, numbers []string) {
	t.Helper()
	free := rig.FreePorts(n)
	if free == nil {
		t.Fatal("no free ports")
	}
	for _, port := range free {
		numbers = append(numbers, strconv.Itoa(port))
		addrs = append(addrs, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	return addrs, numbers
}

func play(t *testing.T) *playground {
	t.Helper()
	dir := t.TempDir()
	troupe := filepath.Join(dir, "troupe")
	if out, err := exec.Command("go", "build", "-o", troupe, "github.com/troupe-dev/troupe/services/troupe/cmd/troupe").CombinedOutput(); err != nil {
		t.Fatalf("build troupe: %v\n%s", err, out)
	}
	addr, port := ports(t, 5)
	p := &playground{t: t, proxies: hold.NewProxies(addr[:1], addr[1], addr[2], addr[3]), control: control.NewClient("http://" + addr[4])}
	t.Cleanup(p.proxies.Close)
	args := []string{"play", "--auth", "off", "--ports", "auto", "--dir", filepath.Join(dir, "play"), "--brokers", "3", "--kafka-port", port[0],
		"--redis-port", port[1], "--gateway-port", port[2], "--smtp-port", port[3], "--control-port", port[4]}
	for _, process := range services {
		env, err := p.proxies.Environ(process)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range env {
			args = append(args, "--env", process+":"+e)
		}
	}
	var out bytes.Buffer
	cmd := exec.Command(troupe, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("play: %v", err)
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
	var at struct{ Order, Query string }
	until(t, "the playground is ready", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "play", "playground.json"))
		return err == nil && json.Unmarshal(b, &at) == nil
	})
	p.orders = rest.New(at.Order, at.Query)
	return p
}

// try places an order that is paid. The same n is the same order.
func (p *playground) try(ctx context.Context, n int) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a, err := p.orders.Place(ctx, fmt.Sprintf("hold-%06d", n), rest.PlaceOrder{CustomerID: "c-1", Email: "a@example.com", Currency: "EUR",
		PaymentMethod: "pm_card_visa", Lines: []rest.Line{{SKU: "TEA", Name: "Tea", Quantity: 1, UnitPrice: 100}}})
	return a.ID, err
}

// order places an order, and cancels it once it is confirmed, until ctx ends: it comes by every point.
func (p *playground) order(ctx context.Context) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	id, err := p.try(ctx, len(p.placed))
	for ; err != nil && ctx.Err() == nil; <-pace.C {
		id, err = p.try(ctx, len(p.placed))
	}
	if err != nil {
		return
	}
	p.placed = append(p.placed, id)
	for ; ctx.Err() == nil; <-pace.C {
		if o, err := p.orders.Order(ctx, id, rest.Read{}); err == nil && o.Status == "confirmed" {
			_, _ = p.orders.Cancel(ctx, id) // the service may be away; another order comes
			return
		}
	}
}

// reach lets orders come by until one is held, and lets it go on.
func (p *playground) reach(h *hold.Held) (hold.Hit, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), within)
	var ordering sync.WaitGroup
	ordering.Go(func() {
		for ctx.Err() == nil {
			p.order(ctx)
		}
	})
	defer func() {
		h.Release()
		cancel()
		ordering.Wait()
	}()
	return h.Caught(ctx)
}

// Every point of every service is one that a service really comes by. What is held goes on, and all orders settle.
func TestEveryPointIsReached(t *testing.T) {
	t.Parallel()
	p := play(t)
	for _, point := range hold.Points() {
		if point.First != "" || point.Name == "during-redrive" { // nobody dies here, and nothing is parked
			continue
		}
		for _, service := range point.Services {
			h := point.Arm(p.proxies, service, hold.Any)
			got, err := p.reach(h)
			if err != nil || got.Client != service {
				t.Errorf("%s of %s: %+v, %v", point.Name, service, got, err)
			}
		}
	}
	p.settled()
}

// Those that only somebody reaches who takes over from the dead, where it is not as in TestPointsOfTakingOver: a projection, and a
// participant that hears its own topic.
func TestPointsOfTakingOverAreReached(t *testing.T) {
	t.Parallel()
	p := play(t)
	for name, service := range map[string]string{"during-claim": "query", "during-fold": "order"} {
		point := find(t, name)
		first := find(t, point.First).Arm(p.proxies, service, hold.Any)
		ctx, cancel := context.WithCancel(t.Context())
		var ordering sync.WaitGroup
		ordering.Go(func() { p.order(ctx) }) // its answer may be held, too
		died := hit(t, first)
		next := point.Arm(p.proxies, service, died.Partition)
		if err := p.control.Do(t.Context(), died.Client, "kill"); err != nil {
			t.Fatal(err)
		}
		first.Drop()
		if got := hit(t, next); got.Client != service {
			t.Errorf("%s of %s: %+v", name, service, got)
		}
		if err := p.control.Do(t.Context(), service, "kill"); err != nil {
			t.Fatal(err)
		}
		next.Drop()
		cancel()
		ordering.Wait()
		p.settled()
	}
}

func (p *playground) settled() {
	p.t.Helper()
	for _, id := range p.placed {
		until(p.t, "order "+id+" is settled and its customer told", func() bool {
			ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
			defer cancel()
			o, err := p.orders.Order(ctx, id, rest.Read{})
			return err == nil && rest.Ended(o)
		})
	}
}
