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
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// Plan says who orders what. It is the same crowd for the same seed.
type Plan struct {
	Orders int
	// PerSecond is the rate at which orders are begun, however long the answers take.
	PerSecond float64
	// One in so many is declined, cancelled (at once, some seconds later, or when it is settled), or sent twice at once; 0 means
	// none.
	DeclinedOneIn, CancelledOneIn, TwiceOneIn int
	// One in so many has a payment method with which the simulator takes its time, or does not say how it ended; 0 means none.
	SlowOneIn, UnsureOneIn int
	Seed                   uint64
	// More, when set, makes customers come at MorePerSecond after the last of Orders, until it is closed.
	More          <-chan struct{}
	MorePerSecond float64
}

// Payment methods of the slow and the unsure.
var (
	slow   = []string{"pm_sim_slow_1s", "pm_sim_slow_2s", "pm_sim_processing_1s", "pm_sim_processing_3s", "pm_card_pendingRefund"}
	unsure = []string{"pm_sim_lost_answer_once", "pm_sim_timeout_once"}
)

// inFlight bounds the customers that wait for an answer at one moment; beyond it, new ones come later.
const inFlight = 1024

// moreInFlight bounds the customers that wait when one of Plan.More comes: where nobody is answered, each of them makes all wait longer.
const moreInFlight = 32

// lookAgain is how long one of them stays away.
const lookAgain = 20 * time.Millisecond

// Result is what the customers were promised.
type Result struct {
	Expected []check.Expected
	// Twice counts orders sent twice, Retries the requests beyond the first for each, RetriedFor by what was answered.
	Twice, Retries int
	RetriedFor     map[string]int
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
	after  time.Duration // waits before it cancels
	late   bool          // cancels when the order is settled
	twice  bool
}

func (p Plan) customer(n int) customer {
	r := rand.New(rand.NewPCG(p.Seed, uint64(n)))
	one := func(in int) bool { return in > 0 && r.IntN(in) == 0 }
	c := customer{
		key: fmt.Sprintf("load-%016x-%06d", p.Seed, n), bad: one(p.DeclinedOneIn), cancel: one(p.CancelledOneIn),
		twice: one(p.TwiceOneIn), late: r.IntN(2) == 0,
	}
	if r.IntN(2) == 0 {
		c.after = time.Duration(r.Int64N(int64(5 * time.Second)))
	}
	c.order = rest.PlaceOrder{
		CustomerID: fmt.Sprintf("c-%d", r.IntN(1000)), Email: fmt.Sprintf("customer-%d@example.com", n), Currency: "EUR",
		PaymentMethod: "pm_card_visa",
		Lines:         []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 1 + r.IntN(5), UnitPrice: 100 + r.Int64N(5000)}},
	}
	switch {
	case c.bad:
		c.order.PaymentMethod = "pm_card_chargeDeclined"
	case one(p.SlowOneIn):
		c.order.PaymentMethod = slow[r.IntN(len(slow))]
	case one(p.UnsureOneIn):
		c.order.PaymentMethod = unsure[r.IntN(len(unsure))]
	}
	c.total = int64(c.order.Lines[0].Quantity) * c.order.Lines[0].UnitPrice
	return c
}

// crowd collects what became of the customers.
type crowd struct {
	orders []*rest.Client
	each   func(answered int)
	turn   atomic.Uint64

	mu     sync.Mutex
	result Result
}

// Run places all orders at the services in turn, and returns when every customer is answered, or ctx ends. each is called after every
// answered order with how many there are by then, one call at a time.
func (p Plan) Run(ctx context.Context, orders []*rest.Client, each func(answered int)) (Result, error) {
	w := &crowd{orders: orders, each: each, result: Result{RetriedFor: map[string]int{}}}
	room := make(chan struct{}, inFlight)
	var wg sync.WaitGroup
	due := time.Now()
	for n := 0; p.comes(n) && pause(ctx, time.Until(due)); n++ {
		if n >= p.Orders && len(room) >= moreInFlight {
			due = time.Now().Add(lookAgain)
			n--
			continue
		}
		room <- struct{}{}
		wg.Go(func() {
			w.serve(ctx, p.customer(n))
			<-room
		})
		rate := p.PerSecond
		if n+1 >= p.Orders {
			rate = p.MorePerSecond
		}
		due = due.Add(time.Duration(float64(time.Second) / rate))
	}
	wg.Wait()
	slices.Sort(w.result.Violations)
	return w.result, ctx.Err()
}

// comes says whether there is an nth customer, from 0.
func (p Plan) comes(n int) bool {
	if n < p.Orders || p.More == nil {
		return n < p.Orders
	}
	select {
	case <-p.More:
		return false
	default:
		return true
	}
}

// door is the service whose turn it is, as a customer comes to it.
func (w *crowd) door(c customer) *rest.Client {
	return w.orders[w.turn.Add(1)%uint64(len(w.orders))].For(c.order.CustomerID)
}

// serve is one customer from the first try to the last answer.
func (w *crowd) serve(ctx context.Context, c customer) {
	place := func() (a rest.Accepted, ok bool) {
		return w.insist(ctx, "place "+c.key, func() (rest.Accepted, error) { return w.door(c).Place(ctx, c.key, c.order) })
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
	e := check.Expected{ID: a.ID, Total: c.total, Currency: c.order.Currency, Email: c.order.Email, Declined: c.bad}
	if c.cancel {
		if !c.late {
			pause(ctx, c.after)
		} else { // settled or not after the wait: the cancellation must be right either way
			_, _ = w.door(c).Order(ctx, a.ID, rest.Read{Token: a.ConsistencyToken, Wait: 5 * time.Second, UntilSettled: true})
		}
		_, e.CancelAsked = w.insist(ctx, "cancel "+a.ID, func() (rest.Accepted, error) { return w.door(c).Cancel(ctx, a.ID) })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.twice {
		w.result.Twice++
		if again.ID != "" && again.ID != a.ID {
			w.result.Violations = append(w.result.Violations, fmt.Sprintf("%s became two orders, %s and %s", c.key, a.ID, again.ID))
		}
	}
	if a.Total != c.total || a.Status != "placed" || a.ConsistencyToken == "" {
		w.result.Violations = append(w.result.Violations, fmt.Sprintf("%s was answered %+v, total should be %d", c.key, a, c.total))
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
		w.result.RetriedFor[err.Error()]++
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
func pause(ctx context.Context, d time.Duration) bool { return wait.Sleep(ctx, d) == nil }
