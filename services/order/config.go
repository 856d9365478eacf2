package order

import (
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/service"
	"golang.org/x/text/currency"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8081" help:"where orders are placed and cancelled, and where /livez, /readyz and /metrics are, host:port"`
	QueryURL string `env:"QUERY_PUBLIC_URL" envDefault:"http://127.0.0.1:8084" help:"public address of the query service: what Location of a placed order begins with"`

	PaymentDeadline time.Duration `env:"PAYMENT_DEADLINE" envDefault:"15m" min:"1s" max:"23h" help:"how long an order waits for its payment before it is cancelled; carried by each order from when it is placed. The gateway forgets its idempotency keys after 24h"`
	CancelWindow    time.Duration `env:"CANCEL_WINDOW" envDefault:"336h" help:"how long after it was placed an order can be cancelled; must stay well below RETENTION, since a refund needs the facts of the order"`
	Currencies      []string      `env:"CURRENCIES" envDefault:"EUR,USD,GBP,CHF,SEK,NOK,DKK,PLN,CZK,CAD,AUD,JPY" help:"currencies that are taken, ISO 4217, separated by commas; amounts are in minor units of each"`
	FindWithin      time.Duration `env:"FIND_WITHIN" envDefault:"2s" min:"0s" max:"10s" help:"how long a request waits until its order can be known for certain (start, rebalance, wiped store) before it gets 503"`
	Drain           time.Duration `env:"DRAIN" envDefault:"0s" min:"0s" max:"1m" help:"how long a stop waits between turning readiness off and closing the HTTP door, for balancers that need time to see it"`

	Concurrency int `env:"ORDER_CONCURRENCY" envDefault:"256" min:"1" max:"10000" help:"most orders worked on at once by one instance"`

	Auth auth.Config
	service.ParticipantConfig
}

// Validate returns all that is wrong with the variables of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	_, err := config.BaseURL("QUERY_PUBLIC_URL", c.QueryURL)
	currencies := fault.FieldIf(len(c.Currencies) == 0, "CURRENCIES", "must name at least one currency")
	for _, code := range c.Currencies {
		unit, err := currency.ParseISO(code)
		currencies = errors.Join(currencies,
			fault.FieldIf(err != nil || unit.String() != code, "CURRENCIES", "%q is no currency of ISO 4217", code))
	}
	return errors.Join(
		c.Auth.Exposed(c.HTTPAddr),
		err,
		fault.FieldIf(c.CancelWindow < 0 || c.CancelWindow > c.Retention*3/4, "CANCEL_WINDOW",
			"must be from 0 to three quarters of RETENTION (%s), is %s", c.Retention, c.CancelWindow),
		currencies,
	)
}
