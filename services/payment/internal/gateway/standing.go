package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Ready returns nil, or why the gateway takes nothing from this service until somebody changes a setting here or there.
func (g *Stripe) Ready() error { return g.standing.Ready() }

// takesOthers says that the gateway has taken somebody's payment method lately.
func (g *Stripe) takesOthers() bool { return g.standing.TakesOthers() }

// Bounds of what runs remember. longRun is how many customers must meet a refusal before it is taken for more than
// theirs.
const (
	maxRunReasons   = 50
	maxRunCustomers = 1000
	longRun         = 3
	// lately is how long a run goes on without another refusal.
	lately = time.Hour
)

// runs are the refusals since somebody was charged: by reason, who met them. Many customers in a row with the same
// reason are no chance: a key, an outage at a bank, somebody who tries stolen cards.
type runs struct {
	mu   sync.Mutex
	met  map[string]map[string]struct{}
	last time.Time
}

func (r *runs) add(reason, customer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	r.last = time.Now()
	if r.met[reason] == nil && len(r.met) < maxRunReasons {
		r.met[reason] = map[string]struct{}{}
	}
	if customers := r.met[reason]; customers != nil && len(customers) < maxRunCustomers {
		customers[customer] = struct{}{}
	}
}

// forget ends runs that nobody has gone on with lately.
func (r *runs) forget() {
	if time.Since(r.last) >= lately {
		clear(r.met)
	}
}

// end is that somebody was charged.
func (r *runs) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.met)
}

// long says that several customers were refused for the reason.
func (r *runs) long(reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.met[reason]) >= longRun
}

func (r *runs) observe(_ context.Context, observe telemetry.Observe) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	if len(r.met) == 0 {
		observe(telemetry.GatewayRefused, 0) // seen to be none
	}
	for reason, customers := range r.met {
		observe(telemetry.GatewayRefused, float64(len(customers)), telemetry.Reason.String(reason))
	}
}
