package mail

import (
	"crypto/tls"
	"errors"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/tlsfiles"
	gomail "github.com/wneessen/go-mail"
)

// Config says which mail server takes our mail, and how to talk to it.
type Config struct {
	Addr        string        `env:"SMTP_ADDR" envDefault:"127.0.0.1:1025" help:"host:port of the mail server"`
	From        string        `env:"MAIL_FROM" envDefault:"Troupe <orders@troupe.example>" help:"sender of every mail; its domain also ends the Message-IDs, so changing it makes resends look new"`
	TLS         string        `env:"SMTP_TLS" envDefault:"opportunistic" oneof:"none opportunistic required implicit" help:"none, opportunistic (STARTTLS when offered), required (STARTTLS or nothing), implicit (TLS from the first byte)"`
	CAFile      string        `env:"SMTP_CA_FILE" help:"PEM file with the certificate authority of the mail server; empty for the system's"`
	Username    string        `env:"SMTP_USERNAME" help:"user at the mail server; empty for none. Away from this host it needs SMTP_TLS required or implicit"`
	Password    config.Secret `env:"SMTP_PASSWORD" help:"password of SMTP_USERNAME"`
	Auth        string        `env:"SMTP_AUTH" envDefault:"auto" oneof:"auto plain login cram-md5 scram-sha-1 scram-sha-256" help:"how to log in"`
	HELO        string        `env:"SMTP_HELO" help:"name to say in EHLO; empty for the host's name"`
	Connections int           `env:"SMTP_CONNECTIONS" envDefault:"16" min:"1" max:"256" help:"connections at most; mails beyond wait for one"`
	Timeout     time.Duration `env:"SMTP_TIMEOUT" envDefault:"10s" min:"100ms" max:"5m" help:"for each answer on a connection, and for opening one; the answer to a whole message has 10 minutes (RFC 5321, section 4.5.3.2.6)"`
}

// Validate returns all that cannot be right.
func (c Config) Validate() error {
	host, port, err := net.SplitHostPort(c.Addr)
	n, portErr := strconv.ParseUint(port, 10, 16)
	_, fromErr := netmail.ParseAddress(c.From)
	_, tlsErr := c.tlsConfig()
	return errors.Join(
		fault.FieldIf(err != nil || host == "", "SMTP_ADDR", "must be host:port, is %q", c.Addr),
		fault.FieldIf(err == nil && (portErr != nil || n == 0), "SMTP_ADDR", "port must be 1 to 65535, is %q", port),
		fault.FieldIf(fromErr != nil, "MAIL_FROM", "must be a mail address: %w", fromErr),
		fault.FieldIf(c.Username != "" && c.TLS != "required" && c.TLS != "implicit" && !loopback(host),
			"SMTP_TLS", "must be required or implicit, so that the password never travels in the clear; is %q", c.TLS),
		fault.FieldIf((c.Username != "") != c.Password.IsSet(),
			"SMTP_PASSWORD", "must be set together with SMTP_USERNAME, or not at all"),
		fault.FieldIf(strings.ContainsAny(c.HELO, " \t\r\n"), "SMTP_HELO", "must be a host name, is %q", c.HELO),
		tlsErr,
	)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c Config) tlsConfig() (*tls.Config, error) {
	host, _, _ := net.SplitHostPort(c.Addr)
	return tlsfiles.Files{Prefix: "SMTP_", CA: c.CAFile, ServerName: host}.Read()
}

// options for a connection of go-mail, beside the dialling.
func (c Config) options(t *tls.Config) ([]gomail.Option, error) {
	policy := map[string]gomail.TLSPolicy{
		"none": gomail.NoTLS, "opportunistic": gomail.TLSOpportunistic, "required": gomail.TLSMandatory,
		"implicit": gomail.TLSOpportunistic, // a server reached so offers no STARTTLS
	}[c.TLS]
	opts := []gomail.Option{
		gomail.WithTimeout(c.Timeout), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(t),
	}
	if c.HELO != "" {
		opts = append(opts, gomail.WithHELO(c.HELO))
	}
	if c.Username != "" {
		var auth gomail.SMTPAuthType
		if err := auth.UnmarshalString(c.Auth); err != nil {
			return nil, fault.Field("SMTP_AUTH", "%w", err)
		}
		password, err := c.Password.Read()
		if err != nil {
			return nil, err
		}
		opts = append(opts, gomail.WithSMTPAuth(auth), gomail.WithUsername(c.Username), gomail.WithPassword(password))
	}
	return opts, nil
}
