package notification

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/services/notification/internal/mail"
)

// Run runs the service until ctx ends, then stops it in order. Kafka, Redis and the mail server may be missing: it waits for them.
func Run(ctx context.Context, cfg Config) error {
	return service.Run(ctx, cfg.Start(Name, cfg.HTTPAddr), func(s *service.Service) error {
		mailer, err := mail.New(cfg.Mail)
		if err != nil {
			return err
		}
		s.OnStop(mailer.Close)
		s.AddCheck("mail", mailer.Ready)
		service.AddParticipant(s, Behavior(mailer, cfg.GiveUpAfter), cfg.Participant(s, cfg.Concurrency))
		return nil
	})
}
