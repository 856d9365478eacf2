package payment

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/service"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8082" help:"where /livez, /readyz and /metrics listen, host:port; there is no login, so keep it on loopback or behind one"`

	GatewayURL     string        `env:"PAYMENT_GATEWAY_URL" envDefault:"http://127.0.0.1:8090" help:"base of the gateway's API: the simulator, or https://api.stripe.com"`
	GatewayKey     config.Secret `env:"PAYMENT_GATEWAY_KEY" envDefault:"sk_test_simulator" help:"secret API key of the gateway; one that begins with sk_live_ moves real money"`
	GatewayTimeout time.Duration `env:"PAYMENT_GATEWAY_TIMEOUT" envDefault:"10s" help:"longest wait for one answer of the gateway; after it the outcome is unknown and is asked for again, with the same idempotency key"`
	KeyMemory      time.Duration `env:"GATEWAY_KEY_MEMORY" envDefault:"23h" help:"age of an event from which on the gateway may have forgotten its idempotency keys, so that charges and refunds are looked up before any is made. Stripe remembers 24h; stay below the gateway's value by more than clocks differ, or an order may be charged twice"`
	UndecidedFor   time.Duration `env:"PAYMENT_UNDECIDED_FOR" envDefault:"336h" help:"age of an event from which on a refund or charge that the gateway has not decided (a refund that stays pending, say) is parked for a person; until then it is asked for again, alone, less and less often"`
	Concurrency    int           `env:"PAYMENT_CONCURRENCY" envDefault:"256" help:"most orders that wait for the gateway at the same time; each may take a connection"`

	service.ParticipantConfig
}

// Validate returns all that is wrong with the variables of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	u, err := url.Parse(c.GatewayURL)
	if err != nil {
		u = &url.URL{}
	}
	key, keyErr := c.GatewayKey.Read()
	return errors.Join(keyErr,
		fault.FieldIf(u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
			strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil, "PAYMENT_GATEWAY_URL", "must be http(s)://host[:port] without a path"),
		fault.FieldIf(strings.Contains(key, "_live_") && u.Scheme != "https", "PAYMENT_GATEWAY_URL",
			"must be https with a key that moves real money"),
		fault.FieldIf(key == "" || strings.ContainsAny(key, " \r\n\t"),
			"PAYMENT_GATEWAY_KEY", "must be set, without spaces"),
		fault.FieldIf(c.GatewayTimeout < 100*time.Millisecond || c.GatewayTimeout > time.Minute, "PAYMENT_GATEWAY_TIMEOUT",
			"must be from 100ms to 1m, is %s", c.GatewayTimeout),
		fault.FieldIf(c.KeyMemory < time.Minute, "GATEWAY_KEY_MEMORY", "must be at least 1m, is %s", c.KeyMemory),
		fault.FieldIf(c.Concurrency < 1 || c.Concurrency > 10_000,
			"PAYMENT_CONCURRENCY", "must be from 1 to 10000, is %d", c.Concurrency),
		fault.FieldIf(c.UndecidedFor < time.Minute || c.UndecidedFor > c.Retention*3/4, "PAYMENT_UNDECIDED_FOR",
			"must be from 1m to three quarters of RETENTION (%s), is %s", c.Retention, c.UndecidedFor),
	)
}
