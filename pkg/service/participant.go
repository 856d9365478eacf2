package service

import (
	"net"
	"time"

	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/participant"
)

// ParticipantConfig is what can be set from outside of every participant's service, which embeds it in its own Config.
type ParticipantConfig struct {
	Config
	Retention time.Duration `env:"RETENTION" envDefault:"720h" min:"24h" max:"87600h" help:"how long facts are kept, in Kafka and in Redis; ten years at most"`
	Activity  bool          `env:"ACTIVITY" envDefault:"true" help:"tell exceptions (retried, deduplicated, held, parked) in the activity topic, where the console reads them for a day"`
	Clock     clock.Config

	// Listening is called once with the address of HTTP; nil: nobody is told.
	Listening func(net.Addr) `env:"-"`
}

// Start is what Run needs of a participant's service that listens on addr.
func (c *ParticipantConfig) Start(name, addr string) Start {
	return Start{Name: name, HTTPAddr: addr, Listening: c.Listening, Config: c.Config}
}

// Participant is the configuration of a service's participant, of which concurrency React calls run at once at most. It
// starts the clock that goes with it, which the service stops.
func (c *ParticipantConfig) Participant(s *Service, concurrency int) participant.Config {
	now, forget := clock.New(c.Clock)
	s.OnStop(forget)
	return participant.Config{
		Log: s.Log, Redis: s.Redis, Clock: now,
		Partitions: c.Partitions, Retention: c.Retention, Activity: c.Activity, Concurrency: concurrency,
	}
}

// AddParticipant adds a participant to the parts of a service, and to its readiness.
func AddParticipant[S any](s *Service, b participant.Behavior[S], cfg participant.Config) {
	p := participant.New(b, cfg)
	s.AddCheck(b.Name, p.Ready)
	s.AddPart(lifecycle.Part{Name: "participant", Run: p.Run, StopWithin: LeaveWithin})
}
