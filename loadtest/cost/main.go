// Command cost measures what TLS, logins and tokens cost: two of the same troupe, each on a Kafka and redis-server of its own, one open and
// one closed as make secure-test closes it. In turns, each is asked how long POST /orders takes at a rate, and how fast a backlog drains;
// meanwhile the other one idles. The first turn of each is not counted: Kafka compiles itself while it is new.
// It must be run from the repository's root, on a machine that does nothing else:
//
//	go run ./loadtest/cost -troupe bin/troupe -rounds 5
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/loadtest/measure"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const (
	// drainWithin bounds one backlog.
	drainWithin = 10 * time.Minute
	// backlogRate is how many orders of a backlog are placed a second.
	backlogRate = 300
)

// behind the door: what is stopped while a backlog is placed.
var behind = []string{"payment", "notification", "query"}

type options struct {
	troupe         string
	rounds, orders int
	backlog        int
	rate           float64
}

// turn is what one troupe has done.
type turn struct {
	posts measure.Times
	drain float64 // orders a second
}

func main() {
	var o options
	flag.StringVar(&o.troupe, "troupe", "bin/troupe", "program to measure")
	flag.IntVar(&o.rounds, "rounds", 5, "counted turns of each")
	flag.IntVar(&o.orders, "orders", 3000, "orders whose POST is timed in each turn")
	flag.Float64Var(&o.rate, "rate", 100, "of them a second")
	flag.IntVar(&o.backlog, "backlog", 5000, "orders of the backlog in each turn")
	flag.Parse()
	if o.rounds < 1 || o.orders < 1 || o.backlog < 1 || o.rate <= 0 {
		fmt.Fprintln(os.Stderr, "cost: -rounds, -orders, -backlog and -rate must be more than 0")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := o.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context) (err error) {
	rigs, turns := map[bool]*rig.Rig{}, map[bool][]turn{}
	for _, closed := range []bool{false, true} {
		dir, err := os.MkdirTemp("", "troupe-cost-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		rigs[closed], err = rig.Start(ctx, rig.Config{Troupe: o.troupe, Dir: filepath.Join(dir, "play"), Instances: 1,
			PaymentDeadline: time.Hour, Real: true, Secure: closed, Direct: true})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rigs[closed].Stop()) }()
	}
	for n := range 2 * (1 + o.rounds) {
		closed := n%2 == 1
		t, err := o.turn(ctx, rigs[closed])
		if err != nil {
			return err
		}
		warm := n < len(rigs)
		fmt.Printf("%-6s  POST p50 %8s  p99 %8s   drain %6.0f orders/s%s\n", name(closed),
			ms(t.posts.At(.5)), ms(t.posts.At(.99)), t.drain, map[bool]string{true: "   not counted"}[warm])
		if !warm {
			turns[closed] = append(turns[closed], t)
		}
	}
	for _, figure := range []struct {
		name string
		of   func(turn) float64
	}{
		{"POST p50, ms", func(t turn) float64 { return 1e3 * t.posts.At(.5).Seconds() }},
		{"POST p99, ms", func(t turn) float64 { return 1e3 * t.posts.At(.99).Seconds() }},
		{"drain, orders/s", func(t turn) float64 { return t.drain }},
	} {
		open, shut := measure.SpreadOf(turns[false], figure.of), measure.SpreadOf(turns[true], figure.of)
		fmt.Printf("%-16s open %.1f (%.1f to %.1f), closed %.1f (%.1f to %.1f), closed ÷ open %.2f\n", figure.name,
			open.Middle, open.Least, open.Most, shut.Middle, shut.Least, shut.Most, shut.Middle/open.Middle)
	}
	return nil
}

func name(closed bool) string { return map[bool]string{true: "closed", false: "open"}[closed] }

func ms(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

func (o options) turn(ctx context.Context, r *rig.Rig) (t turn, err error) {
	if _, _, err = place(ctx, r, o.orders/10+1, o.rate); err != nil { // connections, tokens
		return t, err
	}
	var placed, late []check.Expected
	if placed, t.posts, err = place(ctx, r, o.orders, o.rate); err != nil {
		return t, err
	}
	if err = quiet(ctx, r, placed); err != nil {
		return t, err
	}
	for _, service := range behind {
		if err = r.Do(ctx, service, "stop"); err != nil {
			return t, err
		}
	}
	if late, _, err = place(ctx, r, o.backlog, backlogRate); err != nil {
		return t, err
	}
	began := time.Now()
	for _, service := range behind {
		if err = r.Do(ctx, service, "start"); err != nil {
			return t, err
		}
	}
	err = quiet(ctx, r, late)
	t.drain = float64(len(late)) / time.Since(began).Seconds()
	return t, err
}

func quiet(ctx context.Context, r *rig.Rig, placed []check.Expected) error {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	return inspect.Quiet(ctx, r.System(), placed, nil)
}

// place places orders at the rate, however long the answers take, each tried once.
func place(ctx context.Context, r *rig.Rig, orders int, rate float64) ([]check.Expected, measure.Times, error) {
	placed := make([]check.Expected, orders)
	took, err := measure.OpenLoop(ctx, orders, rate, func(n int) error {
		a, err := r.Orders[0].Place(ctx, uuid.NewString(), rest.PlaceOrder{
			CustomerID: fmt.Sprintf("c-%d", n%100), Email: "cost@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa",
			Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 1, UnitPrice: 100}},
		})
		placed[n] = check.Expected{ID: a.ID, Total: 100, Currency: "EUR"}
		return err
	})
	return placed, took, err
}
