package simulation

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// gateway keeps the money. A key it has seen gets the answer it got before.
type gateway struct {
	mu      sync.Mutex
	down    bool
	intents map[string]intent // by key, the id of the event that asked
	refunds map[string]string // key → order
}

type intent struct {
	order string
	paid  bool
}

func newGateway() *gateway {
	return &gateway{intents: map[string]intent{}, refunds: map[string]string{}}
}

// charge asks for money, or, when it is too late for that, makes sure that none will come; it says whether it was paid.
func (in *instance) charge(ctx context.Context, key, orderID, card string, late bool) (paid bool, err error) {
	err = in.call(ctx, "gateway", in.world.plan(orderID).Slow, func() error {
		g := in.world.gateway
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.down {
			return errDown
		}
		if _, ok := g.intents[key]; !ok {
			g.intents[key] = intent{order: orderID, paid: card == "good" && !late}
		}
		paid = g.intents[key].paid
		return nil
	})
	return paid, err
}

// refund gives it back.
func (in *instance) refund(ctx context.Context, key, orderID string) error {
	return in.call(ctx, "gateway", in.world.plan(orderID).Slow, func() error {
		g := in.world.gateway
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.down {
			return errDown
		}
		g.refunds[key] = orderID
		return nil
	})
}

func (g *gateway) set(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

var errDown = fault.New(fault.Unavailable, "the gateway is down")

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
