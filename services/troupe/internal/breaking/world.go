package breaking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/jsonhttp"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/resend"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// World is the playground, as far as it can be broken.
type World struct {
	Processes []control.Process
	// Gateway is the simulator's base URL.
	Gateway string
	Orders  *rest.Client
	// Brokers and Topics: where to send everything twice.
	Brokers, Topics []string
	// Flush wipes Redis.
	Flush func(context.Context) error
}

const (
	lastsS      = 60
	pausedS     = 30
	killedS     = 15
	burstOrders = 200
	burstS      = 5
	// gatewayGraceS is for how much longer the gateway's control holds when nobody is left to end it.
	gatewayGraceS = 10
	askWithin     = 5 * time.Second
)

var services = []Option{{"payment", "payment"}, {"order", "order"}, {"notification", "notification"}}

// New returns a stage on which a playground is broken.
func New(w World) *Stage {
	g := gatewayControl{url: w.Gateway, set: map[string]any{}}
	twice := &duplicates{w: w}
	crowd := &burst{w: w}
	return newStage([]Break{
		{Name: "decline", Title: "Decline charges", LastsS: lastsS, Options: []Option{{"50", "50 %"}, {"20", "20 %"}, {"100", "100 %"}},
			Does:  "The gateway declines this share of the charges, though the cards are good.",
			Watch: "Orders are cancelled and their customers told. Nothing is parked: a declined card is an answer.",
			begin: g.begin("decline_percent", func(option string) any { return json.Number(option) }), end: g.end("decline_percent")},
		{Name: "slow-gateway", Title: "Slow the gateway", LastsS: lastsS,
			Does:  "Every answer of the gateway takes two seconds longer.",
			Watch: "Settle times grow, and payment falls behind by seconds. Other orders do not wait for one: each has a lane of its own.",
			begin: g.begin("delay_ms", func(string) any { return 2000 }), end: g.end("delay_ms")},
		{Name: "gateway-down", Title: "Take the gateway down", LastsS: lastsS,
			Does:  "The gateway answers 503 to everything.",
			Watch: "Orders stay in flight, nothing is parked, and all settle by themselves when it is back. Those past their payment deadline are cancelled.",
			begin: g.begin("outage", func(string) any { return true }), end: g.end("outage")},
		{Name: "duplicate", Title: "Send every event twice", LastsS: lastsS,
			Does:  "A producer appends each new event to its topic once more.",
			Watch: "Duplicates absorbed go up; charges and mails do not.",
			begin: twice.begin, end: twice.end},
		{Name: "poison", Title: "Poison one order", Options: nil,
			Does:  "Places an order with a payment method that the gateway refuses for a reason that is not the card's.",
			Watch: "Payment parks it, and every other order flows. Edit its payment method to pm_card_visa under Dead letters, and it settles.",
			begin: w.poison, end: nothing},
		{Name: "pause", Title: "Pause a service", LastsS: pausedS, Options: services,
			Does:  "Freezes all processes of the service (SIGSTOP) for half a minute; the group takes its partitions away, and it does not know.",
			Watch: "It greys, its lag grows. When it wakes, what it still wanted to write is refused, and nothing happens twice.",
			begin: w.each(control.Process.Pause), end: w.all(control.Process.Resume)},
		{Name: "kill", Title: "Kill a service", LastsS: killedS, Options: services,
			Does:  "kill -9 of all processes of the service; they are started again after 15 seconds.",
			Watch: "It greys, its lag grows, and shrinks again as soon as it is back. The ticks stay green.",
			begin: w.each(control.Process.Strike), end: w.all(control.Process.Start)},
		{Name: "wipe-redis", Title: "Wipe Redis",
			Does:  "FLUSHALL: every service forgets all it knew.",
			Watch: "Each folds its topics again, and orders that were under way go on. The list of orders is unavailable for a moment, and back.",
			begin: func(ctx context.Context, _ string) (string, error) { return "", w.Flush(ctx) }, end: nothing},
		{Name: "burst", Title: "Place 200 orders at once", LastsS: burstS,
			Does:  "Two hundred customers come within two seconds; one in ten has a bad card.",
			Watch: "The map lights up, lags rise for a moment, and all settle.",
			begin: crowd.begin, end: crowd.end},
	})
}

func nothing(context.Context) error { return nil }

// gatewayControl is what is wrong with the gateway by request of several breaks.
type gatewayControl struct {
	url string
	set map[string]any
}

func (g gatewayControl) begin(field string, value func(option string) any) func(context.Context, string) (string, error) {
	return func(ctx context.Context, option string) (string, error) {
		g.set[field] = value(option)
		err := g.put(ctx)
		if err != nil {
			delete(g.set, field)
		}
		return "", err
	}
}

func (g gatewayControl) end(field string) func(context.Context) error {
	return func(ctx context.Context) error {
		delete(g.set, field)
		return g.put(ctx)
	}
}

func (g gatewayControl) put(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	g.set["reset_after_s"] = lastsS + gatewayGraceS
	if err := jsonhttp.Call(ctx, http.MethodPut, g.url+"/control", nil, g.set, nil); err != nil {
		return fault.New(fault.Unavailable, "the gateway does not do it: %w", err)
	}
	return nil
}

// each does something to all processes of a service; to those that are not there nothing can be done.
func (w World) each(do func(control.Process) error) func(context.Context, string) (string, error) {
	return func(_ context.Context, service string) (string, error) {
		var errs []error
		for _, p := range w.Processes {
			if p.Status().Service == service {
				errs = append(errs, do(p))
			}
		}
		if slices.Contains(errs, nil) {
			return "", nil
		}
		return "", errors.Join(errs...)
	}
}

// all does something to every process; a conflict means that it is as it should be.
func (w World) all(do func(control.Process) error) func(context.Context) error {
	return func(context.Context) error {
		var errs []error
		for _, p := range w.Processes {
			if err := do(p); fault.ClassOf(err) != fault.Conflict {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
}

func (w World) poison(ctx context.Context, _ string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	a, err := w.Orders.Place(ctx, uuid.NewString(), load.Tea("c-poison", "pm_sim_refused"))
	if err != nil {
		return "", fmt.Errorf("place the order: %w", err)
	}
	return a.ID, nil
}

// duplicates sends everything twice.
type duplicates struct {
	w World
	r *resend.Resender
}

func (d *duplicates) begin(ctx context.Context, _ string) (_ string, err error) {
	if d.r == nil {
		d.r, err = resend.StartAtEnd(context.WithoutCancel(ctx), d.w.Brokers, d.w.Topics)
	}
	return "", err
}

func (d *duplicates) end(context.Context) error {
	if d.r != nil {
		_ = d.r.Close() // what could not be sent twice was sent once
		d.r = nil
	}
	return nil
}

// burst is a crowd of customers.
type burst struct {
	w      World
	cancel context.CancelFunc
	crowd  sync.WaitGroup
}

func (b *burst) begin(ctx context.Context, _ string) (string, error) {
	if b.cancel != nil {
		return "", fault.New(fault.Conflict, "the last crowd is still there")
	}
	crowd, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b.cancel = cancel
	b.crowd.Go(func() {
		plan := load.Plan{Orders: burstOrders, PerSecond: 100, DeclinedOneIn: 10, Seed: rand.Uint64()}
		_, _ = plan.Run(crowd, []*rest.Client{b.w.Orders}, nil) // those that were not answered say nothing
	})
	return "", nil
}

// end sends home who has not been answered by now.
func (b *burst) end(context.Context) error {
	if b.cancel != nil {
		b.cancel()
		b.crowd.Wait()
		b.cancel = nil
	}
	return nil
}
