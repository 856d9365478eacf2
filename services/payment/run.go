package payment

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/services/payment/internal/gateway"
)

// Run runs the service until ctx ends, then stops it in order. Kafka, Redis and the gateway may be missing: it waits for them.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, cfg.Start(Name, cfg.HTTPAddr), func(s *service.Service) error {
		part := cfg.Participant(s, cfg.Concurrency)
		stripe := OpenGateway(cfg, part.Clock)
		s.OnStop(stripe.Close)
		s.AddCheck("gateway", stripe.Ready)
		service.AddParticipant(s, Behavior(stripe, cfg.KeyMemory, cfg.UndecidedFor), part)
		return nil
	})
}

// OpenGateway returns the gateway that cfg names; Close ends it. The clock hears the gateway's; nil: it is believed.
func OpenGateway(cfg Config, now *clock.Clock) *gateway.Stripe {
	return gateway.Open(cfg.Gateway, cfg.Concurrency, now)
}
