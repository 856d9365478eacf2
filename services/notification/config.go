package notification

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/services/notification/internal/mail"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8083" help:"where /livez, /readyz and /metrics listen, host:port; there is no login, so keep it on loopback or behind one"`

	Mail mail.Config

	GiveUpAfter time.Duration `env:"MAIL_GIVE_UP_AFTER" envDefault:"120h" min:"1m" help:"age of an event from which on its mail is given up when the server only puts it off (4xx), as a mail that failed; RFC 5321, section 4.5.4.1, wants 4 to 5 days"`

	Concurrency int `env:"NOTIFICATION_CONCURRENCY" envDefault:"256" min:"1" max:"10000" help:"most orders whose mail is being sent or waits for one of the SMTP_CONNECTIONS"`

	service.ParticipantConfig
}

// Validate returns what is wrong with the variables of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	return fault.FieldIf(c.GiveUpAfter > c.Retention/2, "MAIL_GIVE_UP_AFTER",
		"must be at most half of RETENTION (%s), is %s", c.Retention, c.GiveUpAfter)
}
