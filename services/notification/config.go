package notification

import (
	"net"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/services/notification/internal/mail"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8083" help:"where /livez, /readyz and /metrics listen, host:port; there is no login, so keep it on loopback or behind one"`

	Mail mail.Config

	GiveUpAfter time.Duration `env:"MAIL_GIVE_UP_AFTER" envDefault:"120h" help:"age of an event from which on its mail is given up when the server only puts it off (4xx), as a mail that failed; RFC 5321, section 4.5.4.1, wants 4 to 5 days"`

	Concurrency int           `env:"NOTIFICATION_CONCURRENCY" envDefault:"256" help:"most orders whose mail is being sent or waits for one of the SMTP_CONNECTIONS"`
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

// Validate names the first wrong variable of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	switch {
	case c.GiveUpAfter < time.Minute || c.GiveUpAfter > c.Retention/2:
		return fault.Field("MAIL_GIVE_UP_AFTER", "must be from 1m to half of RETENTION (%s), is %s", c.Retention, c.GiveUpAfter)
	case c.Concurrency < 1 || c.Concurrency > 10_000:
		return fault.Field("NOTIFICATION_CONCURRENCY", "must be from 1 to 10000")
	case c.Partitions < 1 || c.Partitions > 1000:
		return fault.Field("PARTITIONS", "must be from 1 to 1000")
	case c.Retention < 24*time.Hour:
		return fault.Field("RETENTION", "must be at least 24h")
	}
	return nil
}
