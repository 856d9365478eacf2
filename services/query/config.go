package query

import (
	"net"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/service"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr   string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:8084" help:"where customers read, and where /livez, /readyz and /metrics are, host:port"`
	MaxStreams int           `env:"MAX_STREAMS" envDefault:"1000" help:"most live streams open at once; more are refused with 503"`
	PerClient  int           `env:"MAX_STREAMS_PER_CLIENT" envDefault:"100" help:"most live streams of one client, which is the subject of a token, and without one an address that connects, or the /64 of an IPv6 one; more are refused with 429. X-Forwarded-For is not believed: behind a proxy, which then is the one client, let the proxy bound its own and set this to MAX_STREAMS"`
	Retention  time.Duration `env:"RETENTION" envDefault:"720h" help:"how long topics keep facts; an order is forgotten a day later. Shorter than that of the topics, orders that can still change are forgotten"`
	Drain      time.Duration `env:"DRAIN" envDefault:"0s" help:"how long to go on serving after readiness turned off at a stop, so that load balancers notice"`

	Auth auth.Config
	service.Config

	// Listening is called once with the address of HTTP; nil: nobody is told.
	Listening func(net.Addr) `env:"-"`
}

// Validate names the first wrong variable.
func (c *Config) Validate() error {
	switch {
	case c.MaxStreams < 1 || c.MaxStreams > 100_000:
		return fault.Field("MAX_STREAMS", "must be from 1 to 100000")
	case c.PerClient < 1 || c.PerClient > c.MaxStreams:
		return fault.Field("MAX_STREAMS_PER_CLIENT", "must be from 1 to MAX_STREAMS (%d)", c.MaxStreams)
	case c.Retention < time.Hour || c.Retention > service.MaxRetention:
		return fault.Field("RETENTION", "must be from 1h to %s, is %s", service.MaxRetention, c.Retention)
	case c.Drain < 0 || c.Drain > 5*time.Minute:
		return fault.Field("DRAIN", "must be from 0s to 5m")
	}
	return c.Auth.Exposed(c.HTTPAddr)
}
