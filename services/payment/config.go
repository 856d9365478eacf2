package payment

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/services/payment/internal/gateway"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8082" help:"where /livez, /readyz and /metrics listen, host:port; there is no login, so keep it on loopback or behind one"`

	Gateway      gateway.Config
	KeyMemory    time.Duration `env:"GATEWAY_KEY_MEMORY" envDefault:"23h" min:"1m" help:"age of an event from which on the gateway may have forgotten its idempotency keys, so that charges and refunds are looked up before any is made. Stripe remembers 24h; stay below the gateway's value by more than clocks differ, or an order may be charged twice"`
	UndecidedFor time.Duration `env:"PAYMENT_UNDECIDED_FOR" envDefault:"336h" min:"1m" help:"age of an event from which on a refund or charge that the gateway has not decided (a refund that stays pending, say) is parked for a person; until then it is asked for again, alone, less and less often"`
	Concurrency  int           `env:"PAYMENT_CONCURRENCY" envDefault:"256" min:"1" max:"10000" help:"most orders that wait for the gateway at the same time; each may take a connection"`

	service.ParticipantConfig
}

// Validate returns what is wrong with the variables of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	return fault.FieldIf(c.UndecidedFor > c.Retention*3/4, "PAYMENT_UNDECIDED_FOR",
		"must be at most three quarters of RETENTION (%s), is %s", c.Retention, c.UndecidedFor)
}
