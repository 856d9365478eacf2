package order

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/services/order/internal/httpapi"
)

// Run runs the service until ctx ends, then stops it in order. Kafka and Redis may be missing: it waits for them, not ready.
func Run(ctx context.Context, cfg Config) error {
	start := cfg.Start(Name, cfg.HTTPAddr)
	start.Drain = cfg.Drain
	return service.Run(ctx, start, func(s *service.Service) error {
		guard, err := s.Guard(cfg.Auth, cfg.HTTPAddr)
		if err != nil {
			return err
		}
		part := cfg.Participant(s, cfg.Concurrency)
		door := admission.New(Behavior(), part)
		orders, err := httpapi.New(Name, door, guard, part.Clock, cfg.API)
		if err != nil {
			return err
		}
		s.AddCheck("door", door.Ready)
		s.API = orders.Handler
		service.AddParticipant(s, Behavior(), part)
		return nil
	})
}
