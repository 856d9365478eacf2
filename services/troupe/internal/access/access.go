// Package access prepares a Kafka for the services, which may do there only what choreography.yaml has them do: Grant, by
// whoever runs the cluster, makes their users and allows each what it needs; Provision, as a user of its own, creates
// the topics. Both may be run again at any time.
package access

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/choreography"
)

// GrantConfig is what Grant takes from the environment.
type GrantConfig struct {
	Passwords string `env:"GRANT_PASSWORDS" help:"folder with a file NAME.kafka-password for each user that is to log in by SCRAM-SHA-512; empty for users that are there already, or come by certificate"`
	Config
}

// Config is what both take from the environment.
type Config struct {
	Within time.Duration `env:"WITHIN" envDefault:"2m" help:"how long Kafka is waited for"`
	Kafka  broker.Config
	// LogFormat is read by lifecycle.Main.
	LogFormat string `env:"LOG_FORMAT" envDefault:"text" help:"text or json"`
}

// ProvisionConfig is what Provision takes from the environment.
type ProvisionConfig struct {
	Retention time.Duration `env:"RETENTION" envDefault:"720h" help:"how long facts are kept; as the services have it"`
	Config
}

// Grant makes users and allows them what the choreography says. It takes nothing away that was granted otherwise.
func Grant(ctx context.Context, cfg GrantConfig) error {
	return cfg.run(ctx, func(ctx context.Context, c *choreography.Choreography, log *broker.Client) error {
		var grants []broker.Grant
		for _, g := range c.Grants() {
			grants = append(grants, broker.Grant(g))
		}
		if cfg.Passwords != "" {
			for _, name := range append(c.Names(), choreography.Provisioner) {
				user := choreography.Principal(name)
				b, err := os.ReadFile(filepath.Join(cfg.Passwords, user+".kafka-password"))
				password := strings.TrimSpace(string(b))
				if err = errors.Join(err, fault.FieldIf(err == nil && password == "", "GRANT_PASSWORDS", "that of %s is empty", user)); err != nil {
					return fault.As(fault.Invalid, err)
				}
				if err := log.SetPassword(ctx, user, password); err != nil {
					return err
				}
			}
		}
		if err := log.Allow(ctx, grants); err != nil {
			return err
		}
		slog.Info("granted what the choreography says", "grants", len(grants))
		return nil
	})
}

// Provision creates the topics that are missing, and checks the others.
func Provision(ctx context.Context, cfg ProvisionConfig) error {
	cfg.Kafka.Provisioned = false
	return cfg.run(ctx, func(ctx context.Context, c *choreography.Choreography, log *broker.Client) error {
		var topics []broker.Topic
		for _, name := range c.Names() {
			for _, t := range c.OwnTopics(name, cfg.Retention) {
				topics = append(topics, broker.Topic(t))
			}
		}
		if err := log.Provision(ctx, topics); err != nil {
			return err
		}
		slog.Info("all topics are there", "topics", len(topics))
		return nil
	})
}

// run tries until it is done: Kafka may be starting, and what was granted takes a moment to be known to all brokers.
func (cfg Config) run(ctx context.Context, do func(context.Context, *choreography.Choreography, *broker.Client) error) error {
	c, err := choreography.Load()
	if err != nil {
		return err
	}
	log, err := broker.Open(cfg.Kafka)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	ctx, cancel := context.WithTimeout(ctx, cfg.Within)
	defer cancel()
	for tries := 1; ; tries++ {
		err := do(ctx, c, log)
		if fault.ClassOf(err) != fault.Unavailable || wait.Sleep(ctx, min(wait.Backoff(tries), time.Second)) != nil {
			return err
		}
	}
}
