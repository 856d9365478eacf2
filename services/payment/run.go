package payment

import (
	"context"
	"strings"

	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/services/payment/internal/gateway"
)

// Run runs the service until ctx ends, then stops it in order. Kafka, Redis and the gateway may be missing: it waits for them.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, cfg.Start(Name, cfg.HTTPAddr), func(s *service.Service) error {
		part := cfg.Participant(s, cfg.Concurrency)
		stripe, hangUp := OpenGateway(cfg, part.Clock)
		s.OnStop(func() error { hangUp(); return nil })
		s.AddCheck("gateway", stripe.Ready)
		service.AddParticipant(s, Behavior(stripe, cfg.KeyMemory, cfg.UndecidedFor), part)
		return nil
	})
}

// OpenGateway returns the gateway that cfg names, and what closes the connections it keeps. The clock hears the
// gateway's; nil: it is believed.
func OpenGateway(cfg Config, now *clock.Clock) (g *gateway.Stripe, hangUp func()) {
	stripe := gateway.Open(gateway.Config{
		URL: strings.TrimRight(cfg.GatewayURL, "/"), Key: cfg.GatewayKey, Timeout: cfg.GatewayTimeout, Connections: cfg.Concurrency,
		Clock: now,
	})
	return stripe, stripe.Close
}
