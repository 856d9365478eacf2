package console

import (
	"errors"
	"net"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/service"
)

// Config is everything that can be set from outside; see -help.
type Config struct {
	HTTPAddr     string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:8085" help:"where /livez, /readyz and /metrics listen, host:port"`
	ConsoleAddr  string        `env:"CONSOLE_ADDR" envDefault:"127.0.0.1:8080" help:"where operators ask, host:port; it shows payloads and changes what waits"`
	ConsoleHosts []string      `env:"CONSOLE_HOSTS" help:"further names under which operators ask, separated by commas, lower case, without ports; .name stands for every name that ends in it. The console answers to localhost and to addresses anyway"`
	Retention    time.Duration `env:"RETENTION" envDefault:"720h" min:"1h" help:"how long topics keep facts; what came back of dead letters is forgotten a day later, what waits never is"`
	Drain        time.Duration `env:"DRAIN" envDefault:"0s" min:"0s" max:"5m" help:"how long to go on serving after readiness turned off at a stop, so that load balancers notice"`

	QueryURL string `env:"QUERY_URL" envDefault:"http://127.0.0.1:8084" help:"base URL of the query service, where the console reads orders and their stories"`
	TraceURL string `env:"CONSOLE_TRACE_URL" help:"address of a trace, with {trace_id} where its id goes; empty: the console shows ids without a link"`

	GatewayURL string `env:"CONSOLE_GATEWAY_URL" help:"base URL of the gateway simulator, whose ledger the console holds against the log; empty: charges are shown as unchecked"`
	MailboxURL string `env:"CONSOLE_MAILBOX_URL" help:"base URL of the playground's mailbox, which the console holds against the log; empty: mails are shown as unchecked"`
	ControlURL string `env:"CONSOLE_CONTROL_URL" help:"base URL of the control API of the playground that this service is part of; it lets the console break things. Empty: there is nothing to break"`

	Auth        auth.Config
	Credentials auth.Credentials
	SignIn      auth.SignIn
	service.Config

	// Listening is called once with the address where operators ask; nil: nobody is told.
	Listening func(operators net.Addr) `env:"-"`
}

// Validate returns all that is wrong with the variables of this service; the configurations in it have their own.
func (c *Config) Validate() error {
	var wrong []error
	for _, base := range []struct {
		variable, url string
		needed        bool
	}{
		{"QUERY_URL", c.QueryURL, true}, {"CONSOLE_GATEWAY_URL", c.GatewayURL, false},
		{"CONSOLE_MAILBOX_URL", c.MailboxURL, false}, {"CONSOLE_CONTROL_URL", c.ControlURL, false},
	} {
		if base.needed || base.url != "" {
			_, err := config.BaseURL(base.variable, base.url)
			wrong = append(wrong, err)
		}
	}
	return errors.Join(
		errors.Join(wrong...),
		httpdoor.CheckHosts("CONSOLE_HOSTS", c.ConsoleHosts),
		c.Auth.Exposed(c.ConsoleAddr),
		fault.FieldIf(c.Auth.Issuer != "" && c.Credentials.ClientID == "", "AUTH_CLIENT_ID",
			"must be set with AUTH_ISSUER: query answers nobody without a token"),
		fault.FieldIf(c.Auth.Issuer != "" && !c.Credentials.Secret.IsSet(), "AUTH_CLIENT_SECRET",
			"must be set with AUTH_ISSUER: query answers nobody without a token"),
		fault.FieldIf(c.Auth.Issuer == "" && c.SignIn.URL != "", "CONSOLE_URL", "is for signing in, which needs AUTH_ISSUER"),
	)
}
