package gateway

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Ready returns nil, or why the gateway takes nothing from this service until somebody changes a setting here or there.
func (g *Stripe) Ready() error { return g.standing.Ready() }

// takesOthers says that the gateway has taken somebody's payment method lately.
func (g *Stripe) takesOthers() bool { return g.standing.TakesOthers() }

func (g *Stripe) observe(_ context.Context, observe telemetry.Observe) {
	met := g.runs.Met()
	if len(met) == 0 {
		observe(telemetry.GatewayRefused, 0) // seen to be none
	}
	for reason, customers := range met {
		observe(telemetry.GatewayRefused, float64(customers), telemetry.Reason.String(reason))
	}
}
