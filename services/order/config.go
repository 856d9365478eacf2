package order

import (
	"errors"
	"net"
	"net/url"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"golang.org/x/text/currency"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8081" help:"where orders are placed and cancelled, and where /livez, /readyz and /metrics are, host:port; there is no login, so keep it on loopback or behind one"`
	QueryURL string `env:"QUERY_PUBLIC_URL" envDefault:"http://127.0.0.1:8084" help:"public address of the query service: what Location of a placed order begins with"`

	PaymentDeadline time.Duration `env:"PAYMENT_DEADLINE" envDefault:"15m" help:"how long an order waits for its payment before it is cancelled; carried by each order from when it is placed. 1s to 23h: the gateway forgets its idempotency keys after 24h"`
	CancelWindow    time.Duration `env:"CANCEL_WINDOW" envDefault:"336h" help:"how long after it was placed an order can be cancelled; must stay well below RETENTION, since a refund needs the facts of the order"`
	Currencies      []string      `env:"CURRENCIES" envDefault:"EUR,USD,GBP,CHF,SEK,NOK,DKK,PLN,CZK,CAD,AUD,JPY" help:"currencies that are taken, ISO 4217, separated by commas; amounts are in minor units of each"`
	FindWithin      time.Duration `env:"FIND_WITHIN" envDefault:"2s" help:"how long a request waits until its order can be known for certain (start, rebalance, wiped store) before it gets 503"`
	Drain           time.Duration `env:"DRAIN" envDefault:"0s" help:"how long a stop waits between turning readiness off and closing the HTTP door, for balancers that need time to see it"`

	Concurrency int           `env:"ORDER_CONCURRENCY" envDefault:"256" help:"most orders worked on at once by one instance"`
	Partitions  int           `env:"PARTITIONS" envDefault:"12" help:"partitions of every topic; fixed once topics exist"`
	Retention   time.Duration `env:"RETENTION" envDefault:"720h" help:"how long facts are kept, in Kafka and in Redis"`
	Activity    bool          `env:"ACTIVITY" envDefault:"true" help:"tell exceptions (retried, deduplicated, held, parked) in the activity topic, where the console reads them for a day"`

	Door      httpdoor.Service
	Kafka     broker.Config
	Clock     clock.Config
	Redis     taskstore.Config
	Telemetry telemetry.Config

	// Listening is called once with the address of the HTTP door; nil: nobody is told.
	Listening func(net.Addr) `env:"-"`
}

// Validate returns all that is wrong with the variables of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	var errs []error
	refuse := func(bad bool, variable, rule string, args ...any) {
		if bad {
			errs = append(errs, fault.Field(variable, rule, args...))
		}
	}
	u, err := url.Parse(c.QueryURL)
	refuse(err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil,
		"QUERY_PUBLIC_URL", "must be http(s)://host[:port][/path], is %q", c.QueryURL)
	refuse(c.PaymentDeadline < time.Second || c.PaymentDeadline > 23*time.Hour, "PAYMENT_DEADLINE", "must be from 1s to 23h, is %s", c.PaymentDeadline)
	refuse(c.Retention < 24*time.Hour, "RETENTION", "must be at least 24h, is %s", c.Retention)
	refuse(c.CancelWindow < 0 || c.CancelWindow > c.Retention*3/4, "CANCEL_WINDOW",
		"must be from 0 to three quarters of RETENTION (%s), is %s", c.Retention, c.CancelWindow)
	refuse(len(c.Currencies) == 0, "CURRENCIES", "must name at least one currency")
	for _, code := range c.Currencies {
		unit, err := currency.ParseISO(code)
		refuse(err != nil || unit.String() != code, "CURRENCIES", "%q is no currency of ISO 4217", code)
	}
	refuse(c.FindWithin < 0 || c.FindWithin > 10*time.Second, "FIND_WITHIN", "must be from 0 to 10s, is %s", c.FindWithin)
	refuse(c.Drain < 0 || c.Drain > time.Minute, "DRAIN", "must be from 0 to 1m, is %s", c.Drain)
	refuse(c.Concurrency < 1 || c.Concurrency > 10_000, "ORDER_CONCURRENCY", "must be from 1 to 10000, is %d", c.Concurrency)
	refuse(c.Partitions < 1 || c.Partitions > 1000, "PARTITIONS", "must be from 1 to 1000, is %d", c.Partitions)
	return errors.Join(errs...)
}
