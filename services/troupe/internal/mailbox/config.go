package mailbox

import (
	"net"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

// Config is everything that can be set from outside.
type Config struct {
	SMTPAddr    string        `env:"MAILBOX_SMTP_ADDR" envDefault:"127.0.0.1:1025" help:"where mail comes in, host:port; anybody who reaches it can send"`
	HTTPAddr    string        `env:"MAILBOX_HTTP_ADDR" envDefault:"127.0.0.1:8025" help:"where mail is read, host:port; there is no login, so keep it on loopback"`
	Hosts       []string      `env:"MAILBOX_HOSTS" help:"further names under which mail is read, separated by commas, lower case, without ports; it answers to localhost and to addresses anyway"`
	Dir         string        `env:"MAILBOX_DIR" envDefault:".play/mailbox" help:"directory of the mails; it is made when missing, and emptied by removing it while the mailbox is stopped"`
	MaxMessages int           `env:"MAILBOX_MAX_MESSAGES" envDefault:"200000" help:"mails at most; beyond, senders are told to try later (452)"`
	SlowFor     time.Duration `env:"MAILBOX_SLOW_FOR" envDefault:"3s" help:"how long a mail to slow@… takes, up to 1m"`

	// Listening is called once with the addresses of SMTP and HTTP; nil: nobody is told.
	Listening func(smtp, http net.Addr) `env:"-"`
}

// Validate names the first wrong variable.
func (c *Config) Validate() error {
	for variable, addr := range map[string]string{"MAILBOX_SMTP_ADDR": c.SMTPAddr, "MAILBOX_HTTP_ADDR": c.HTTPAddr} {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return fault.Field(variable, "must be host:port: %w", err)
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return fault.Field(variable, "port must be 0 to 65535, is %q", port)
		}
	}
	switch {
	case c.Dir == "":
		return fault.Field("MAILBOX_DIR", "must not be empty")
	case c.MaxMessages < 1:
		return fault.Field("MAILBOX_MAX_MESSAGES", "must be at least 1, is %d", c.MaxMessages)
	case c.SlowFor < 0 || c.SlowFor > time.Minute:
		return fault.Field("MAILBOX_SLOW_FOR", "must be 0s to 1m, is %s", c.SlowFor)
	}
	return httpdoor.CheckHosts("MAILBOX_HOSTS", c.Hosts)
}

func (c *Config) door() httpdoor.Config {
	return httpdoor.Config{Hosts: c.Hosts, Variable: "MAILBOX_HOSTS"}
}
