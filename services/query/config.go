package query

import (
	"errors"
	"net"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/service"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr   string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:8084" help:"where customers read, and where /livez, /readyz and /metrics are, host:port"`
	MaxStreams int           `env:"MAX_STREAMS" envDefault:"1000" min:"1" max:"100000" help:"most live streams open at once; more are refused with 503"`
	PerClient  int           `env:"MAX_STREAMS_PER_CLIENT" envDefault:"100" min:"1" help:"most live streams of one client, which is the subject of a token, and without one an address that connects, or the /64 of an IPv6 one; more are refused with 429. X-Forwarded-For is not believed: behind a proxy, which then is the one client, let the proxy bound its own and set this to MAX_STREAMS"`
	Retention  time.Duration `env:"RETENTION" envDefault:"720h" min:"1h" max:"87600h" help:"how long topics keep facts; an order is forgotten a day later. Shorter than that of the topics, orders that can still change are forgotten"`
	Drain      time.Duration `env:"DRAIN" envDefault:"0s" min:"0s" max:"5m" help:"how long to go on serving after readiness turned off at a stop, so that load balancers notice"`

	Auth auth.Config
	service.Config

	// Listening is called once with the address of HTTP; nil: nobody is told.
	Listening func(net.Addr) `env:"-"`
}

// Validate returns all that is wrong with the variables of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	return errors.Join(c.Auth.Exposed(c.HTTPAddr), fault.FieldIf(c.PerClient > c.MaxStreams, "MAX_STREAMS_PER_CLIENT",
		"must be at most MAX_STREAMS (%d), is %d", c.MaxStreams, c.PerClient))
}
