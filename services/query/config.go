package query

import (
	"errors"
	"net"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/service"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr     string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:8084" help:"where the customers' door, /livez, /readyz and /metrics listen, host:port"`
	ConsoleAddr  string        `env:"CONSOLE_ADDR" envDefault:"127.0.0.1:8080" help:"where the operators' door listens, host:port; it shows payloads and changes what waits, and there is no login, so keep it on loopback or behind one"`
	ConsoleAuth  string        `env:"CONSOLE_AUTH" help:"off: the operators' door takes no tokens although AUTH_ISSUER is set. Otherwise each of its requests needs one, as Authorization: Bearer, with the role of what it asks; browsers get theirs from what signs people in before it, such as oauth2-proxy"`
	ConsoleHosts []string      `env:"CONSOLE_HOSTS" help:"further names under which the operators' door is asked, separated by commas, lower case, without ports; .name stands for every name that ends in it. It answers to localhost and to addresses anyway"`
	MaxStreams   int           `env:"MAX_STREAMS" envDefault:"1000" help:"most live streams open at once; more are refused with 503"`
	PerClient    int           `env:"MAX_STREAMS_PER_CLIENT" envDefault:"100" help:"most live streams of one client, which is the subject of a token, and without one an address that connects, or the /64 of an IPv6 one; more are refused with 429. X-Forwarded-For is not believed: behind a proxy, which then is the one client, let the proxy bound its own and set this to MAX_STREAMS"`
	Retention    time.Duration `env:"RETENTION" envDefault:"720h" help:"how long topics keep facts; an order is forgotten a day later. Shorter than that of the topics, orders that can still change are forgotten"`
	Drain        time.Duration `env:"DRAIN" envDefault:"0s" help:"how long to go on serving after readiness turned off at a stop, so that load balancers notice"`

	TraceURL string `env:"CONSOLE_TRACE_URL" help:"address of a trace, with {trace_id} where its id goes; empty: the console shows ids without a link"`

	GatewayURL string `env:"CONSOLE_GATEWAY_URL" help:"base URL of the gateway simulator, whose ledger the console holds against the log; empty: charges are shown as unchecked"`
	MailboxURL string `env:"CONSOLE_MAILBOX_URL" help:"base URL of the playground's mailbox, which the console holds against the log; empty: mails are shown as unchecked"`
	ControlURL string `env:"CONSOLE_CONTROL_URL" help:"base URL of the control API of the playground that this service is part of; it lets the console break things. Empty: there is nothing to break"`

	Auth auth.Config
	service.Config

	// Listening is called once with the addresses of the customers' door and of the operators'; nil: nobody is told.
	Listening func(customers, operators net.Addr) `env:"-"`
}

// Validate names the first wrong variable.
func (c *Config) Validate() error {
	switch {
	case c.MaxStreams < 1 || c.MaxStreams > 100_000:
		return fault.Field("MAX_STREAMS", "must be from 1 to 100000")
	case c.PerClient < 1 || c.PerClient > c.MaxStreams:
		return fault.Field("MAX_STREAMS_PER_CLIENT", "must be from 1 to MAX_STREAMS (%d)", c.MaxStreams)
	case c.Retention < time.Hour:
		return fault.Field("RETENTION", "must be at least 1h")
	case c.Drain < 0 || c.Drain > 5*time.Minute:
		return fault.Field("DRAIN", "must be from 0s to 5m")
	case c.ConsoleAuth != "" && c.ConsoleAuth != "off":
		return fault.Field("CONSOLE_AUTH", "must be off or empty, is %q", c.ConsoleAuth)
	}
	ofOperators := c.consoleAuth()
	if err := errors.Join(c.Auth.Exposed(c.HTTPAddr), ofOperators.Exposed(c.ConsoleAddr)); err != nil {
		return err
	}
	return httpdoor.CheckHosts("CONSOLE_HOSTS", c.ConsoleHosts)
}

// consoleAuth are the tokens that the operators' door takes.
func (c *Config) consoleAuth() auth.Config {
	if c.ConsoleAuth != "" {
		return auth.Config{Mode: c.ConsoleAuth}
	}
	return c.Auth
}
