// Package load places orders as a crowd of customers does: at a steady rate, some with a bad card, some changing their mind, some
// pressing the button twice; and all of them trying again until they are answered.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/check"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// Plan says who orders what. It is the same crowd for the same seed.
type Plan struct {
	Orders int
	// PerSecond is the rate at which orders are begun, however long the answers take.
	PerSecond float64
	// One in so many is declined, cancelled, or sent twice at once; 0 means none.
	DeclinedOneIn, CancelledOneIn, TwiceOneIn int
	Seed                                      uint64
}

// inFlight bounds the customers that wait for an answer at one moment; beyond it, new ones come later.
const inFlight = 1024

// Result is what the customers were promised.
type Result struct {
	Expected []check.Expected
	// Twice counts orders sent twice, Retries the requests beyond the first for each.
	Twice, Retries int
	// Violations of what the door promises: a retry that became another order, an answer that makes no sense.
	Violations []string
}

// customer is one order of the plan.
type customer struct {
	key    string
	order  rest.PlaceOrder
	total  int64
	bad    bool // a card that is declined
	cancel bool
	late   bool // cancels when the order is settled, not at once
	twice  bool
}

func (p Plan) customer(n int) customer {
	r := rand.New(rand.NewPCG(p.Seed, uint64(n)))
	one := func(in int) bool { return in > 0 && r.IntN(in) == 0 }
	c := customer{
		key: fmt.Sprintf("load-%016x-%06d", p.Seed, n), bad: one(p.DeclinedOneIn), cancel: one(p.CancelledOneIn),
		twice: one(p.TwiceOneIn), late: r.IntN(2) == 0,
	}
	c.order = rest.PlaceOrder{
		CustomerID: fmt.Sprintf("c-%d", r.IntN(1000)), Email: fmt.Sprintf("customer-%d@example.com", n), Currency: "EUR",
		PaymentMethod: "pm_card_visa",
		Lines:         []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 1 + r.IntN(5), UnitPrice: 100 + r.Int64N(5000)}},
	}
	if c.bad {
		c.order.PaymentMethod = "pm_card_chargeDeclined"
	}
	c.total = int64(c.order.Lines[0].Quantity) * c.order.Lines[0].UnitPrice
	return c
}

// crowd collects what became of the customers.
type crowd struct {
	orders *rest.Client
	each   func(answered int)

	mu     sync.Mutex
	result Result
}

// Run places all orders and returns when every customer is answered, or ctx ends. each is called after every answered order with
// how many there are by then, one call at a time.
func (p Plan) Run(ctx context.Context, orders *rest.Client, each func(answered int)) (Result, error) {
	w := &crowd{orders: orders, each: each}
	room := make(chan struct{}, inFlight)
	var wg sync.WaitGroup
	began := time.Now()
	for n := range p.Orders {
		due := began.Add(time.Duration(float64(n) / p.PerSecond * float64(time.Second)))
		if !pause(ctx, time.Until(due)) {
			break
		}
		room <- struct{}{}
		wg.Go(func() {
			w.serve(ctx, p.customer(n))
			<-room
		})
	}
	wg.Wait()
	slices.Sort(w.result.Violations)
	return w.result, ctx.Err()
}

// serve is one customer from the first try to the last answer.
func (w *crowd) serve(ctx context.Context, c customer) {
	place := func() (a rest.Accepted, ok bool) {
		return w.insist(ctx, "place "+c.key, func() (rest.Accepted, error) { return w.orders.Place(ctx, c.key, c.order) })
	}
	var again rest.Accepted
	var second sync.WaitGroup
	if c.twice {
		second.Go(func() { again, _ = place() })
	}
	a, ok := place()
	second.Wait()
	if !ok {
		return
	}
	e := check.Expected{ID: a.ID, Total: c.total, Currency: c.order.Currency, Declined: c.bad}
	if c.cancel {
		if c.late { // settled or not after the wait: the cancellation must be right either way
			_, _ = w.orders.Order(ctx, a.ID, rest.Read{Token: a.Token, Wait: 5 * time.Second, UntilSettled: true})
		}
		_, e.CancelAsked = w.insist(ctx, "cancel "+a.ID, func() (rest.Accepted, error) { return w.orders.Cancel(ctx, a.ID) })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.twice {
		w.result.Twice++
		if again.ID != "" && again.ID != a.ID {
			w.result.Violations = append(w.result.Violations, fmt.Sprintf("%s became two orders, %s and %s", c.key, a.ID, again.ID))
		}
	}
	if a.Total != c.total || a.Status != "placed" || a.Token == "" {
		w.result.Violations = append(w.result.Violations, fmt.Sprintf("%s was answered %s, total should be %d", c.key, a.Raw, c.total))
	}
	w.result.Expected = append(w.result.Expected, e)
	if w.each != nil {
		w.each(len(w.result.Expected))
	}
}

// insist tries until there is an answer: what is unavailable or still in flight is tried again, as the contract says it may be. Any
// other refusal is a violation: all of this crowd's requests are right.
func (w *crowd) insist(ctx context.Context, what string, try func() (rest.Accepted, error)) (rest.Accepted, bool) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		a, err := try()
		if err == nil {
			return a, true
		}
		if ctx.Err() != nil {
			return a, false
		}
		w.mu.Lock()
		w.result.Retries++
		if !again(err) {
			w.result.Violations = append(w.result.Violations, what+": "+err.Error())
		}
		w.mu.Unlock()
		if !again(err) || !pause(ctx, wait) {
			return a, false
		}
	}
}

func again(err error) bool {
	return fault.ClassOf(err) == fault.Unavailable || problem.Is(err, "request-in-flight") || errors.Is(err, context.DeadlineExceeded)
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
