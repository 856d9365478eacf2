package mailbox

import (
	"net"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

// Config is everything that can be set from outside.
type Config struct {
	SMTPAddr    string   `env:"MAILBOX_SMTP_ADDR" envDefault:"127.0.0.1:1025" help:"where mail comes in, host:port; anybody who reaches it can send"`
	HTTPAddr    string   `env:"MAILBOX_HTTP_ADDR" envDefault:"127.0.0.1:8025" help:"where mail is read, host:port; there is no login, so keep it on loopback"`
	Hosts       []string `env:"MAILBOX_HOSTS" help:"further names under which mail is read, separated by commas, lower case, without ports; it answers to localhost and to addresses anyway"`
	Dir         string   `env:"MAILBOX_DIR" envDefault:".play/mailbox" help:"directory of the mails; it is made when missing, and emptied by removing it while the mailbox is stopped"`
	MaxMessages int      `env:"MAILBOX_MAX_MESSAGES" envDefault:"200000" min:"1" help:"mails at most; beyond, senders are told to try later (452)"`
	LogFormat   string   `env:"LOG_FORMAT" envDefault:"text" help:"text or json"`

	// Listening is called once with the addresses of SMTP and HTTP; nil: nobody is told.
	Listening func(smtp, http net.Addr) `env:"-"`
}

// Validate names the first wrong variable.
func (c *Config) Validate() error { return httpdoor.CheckHosts("MAILBOX_HOSTS", c.Hosts) }
