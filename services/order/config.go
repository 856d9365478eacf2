package order

import (
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/services/order/internal/httpapi"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:8081" help:"where orders are placed and cancelled, and where /livez, /readyz and /metrics are, host:port"`
	Drain    time.Duration `env:"DRAIN" envDefault:"0s" min:"0s" max:"1m" help:"how long a stop waits between turning readiness off and closing the HTTP door, for balancers that need time to see it"`

	Concurrency int `env:"ORDER_CONCURRENCY" envDefault:"256" min:"1" max:"10000" help:"most orders worked on at once by one instance"`

	API  httpapi.Config
	Auth auth.Config
	service.ParticipantConfig
}

// Validate returns all that is wrong with the variables of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	return errors.Join(
		c.Auth.Exposed(c.HTTPAddr),
		fault.FieldIf(c.API.CancelWindow < 0 || c.API.CancelWindow > c.Retention*3/4, "CANCEL_WINDOW",
			"must be from 0 to three quarters of RETENTION (%s), is %s", c.Retention, c.API.CancelWindow),
	)
}
