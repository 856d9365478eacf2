// Package console is the operators' side: it folds dead letters and what operators ask about them into a read model in
// Redis, shows both and the whole system to people, and lets them redrive, edit and discard.
package console

import (
	"context"
	"strings"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/playground"
	"github.com/troupe-dev/troupe/services/console/internal/pulse"
	"github.com/troupe-dev/troupe/services/console/internal/web"
)

// Name of the service.
const Name = letters.Name

// Topics are those that are folded.
var Topics = letters.Notes

// Run runs the service until ctx ends, then stops it in order. Kafka, Redis and query may be missing: what needs them says so,
// and the service is not ready without the first two.
func Run(ctx context.Context, cfg Config) error {
	start := service.Start{Name: Name, HTTPAddr: cfg.HTTPAddr, Drain: cfg.Drain, Config: cfg.Config}
	return service.Run(ctx, start, func(s *service.Service) error { return open(s, cfg) })
}

// open makes the service's own parts.
func open(s *service.Service, cfg Config) error {
	guard, err := s.Guard(cfg.Auth, cfg.ConsoleAddr)
	if err != nil {
		return err
	}
	protocol, err := choreography.Load()
	if err != nil {
		return err
	}
	p := projection.New(letters.Behavior(), projection.Config{
		Log: s.Log, Redis: s.Redis, Partitions: cfg.Partitions, Retention: cfg.Retention,
	})
	feed := projection.NewFeed(s.Redis, Name, cfg.Partitions)
	model := letters.New(feed, s.Redis, cfg.Partitions)
	query := orders.New(cfg.QueryURL, cfg.Auth.Issuer, cfg.Credentials)
	world := playground.Playground{Gateway: cfg.GatewayURL, Mailbox: cfg.MailboxURL, Control: cfg.ControlURL}
	beat := pulse.New(pulse.Config{Log: s.Log, Groups: s.Log, Choreography: protocol, Partitions: cfg.Partitions, Playground: world})
	api, err := httpapi.New(model, query, s.Log, beat, cfg.Partitions)
	if err != nil {
		return err
	}
	pages := web.New(model, query, s.Log, api, web.Config{
		QueryURL: strings.TrimRight(cfg.QueryURL, "/"), TraceURL: cfg.TraceURL, Pulse: beat, Choreography: protocol, Playground: world,
	})
	guard.SignIn(cfg.SignIn, cfg.Credentials, pages.Notice)

	// The log is read before anybody is answered.
	s.AddCheck(Name, p.Ready)
	s.AddPart(lifecycle.Part{Name: "projection", Run: p.Run, StopWithin: service.LeaveWithin})
	s.AddPart(lifecycle.Part{Name: "changes", Run: feed.Run})
	s.AddPart(lifecycle.Part{Name: "pulse", Run: beat.Run})
	names := httpdoor.Config{Hosts: cfg.ConsoleHosts, Variable: "CONSOLE_HOSTS"}
	if host := cfg.SignIn.Host(); host != "" {
		names.Hosts = append(names.Hosts, host)
	}
	operators, err := s.HTTP("console", cfg.ConsoleAddr, names, api.Handler(guard, pages.Routes, pages.Static))
	if err == nil && cfg.Listening != nil {
		cfg.Listening(operators)
	}
	return err
}
