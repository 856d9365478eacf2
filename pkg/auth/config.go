package auth

import (
	"errors"
	"net"
	"net/netip"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Config is what can be set of the tokens that a service takes. Without an issuer there are none, and everybody is let
// in.
type Config struct {
	Mode       string `env:"AUTH" help:"off: no request needs a token, and everybody may do everything. It must be said in words, since without AUTH_ISSUER a service listens on loopback only otherwise"`
	Issuer     string `env:"AUTH_ISSUER" help:"URL of the OpenID provider whose tokens are taken, https, or http on loopback; its keys are found by discovery. Empty: no request needs a token"`
	Audience   string `env:"AUTH_AUDIENCE" envDefault:"troupe" help:"what a token must name in its claim aud"`
	RolesClaim string `env:"AUTH_ROLES_CLAIM" envDefault:"roles" help:"claim with the roles of operators (viewer, operator, breaker): a list, or a text with spaces; one of the whole name, or a dot goes into an object, as in realm_access.roles"`
	PerSubject int    `env:"AUTH_REQUESTS_PER_SUBJECT" envDefault:"600" min:"0" help:"requests a minute of one token's subject, in each instance; more are refused with 429. 0: no limit. Not counted without an issuer"`
	PerAddress int    `env:"AUTH_REQUESTS_PER_ADDRESS" envDefault:"6000" min:"0" help:"requests a minute of one address, or the /64 of an IPv6 one, in each instance, with or without a token; more are refused with 429. 0: no limit. X-Forwarded-For is not believed: behind a proxy all are one address. Not counted without an issuer"`
}

// Validate returns all that is wrong with the variables.
func (c *Config) Validate() error {
	return errors.Join(
		fault.FieldIf(c.Mode != "" && c.Mode != "off", "AUTH", "must be off or empty, is %q", c.Mode),
		fault.FieldIf(c.Mode == "off" && c.Issuer != "", "AUTH", "is off, and AUTH_ISSUER is set; one of them is too many"),
		fault.FieldIf(c.Issuer != "" && !issuerURL(c.Issuer), "AUTH_ISSUER",
			"must be https://host[:port][/path], or http on loopback, is %q", config.Shown(c.Issuer)),
		fault.FieldIf(c.Issuer != "" && c.Audience == "", "AUTH_AUDIENCE", "must not be empty"),
	)
}

func issuerURL(text string) bool {
	u, err := config.BaseURL("", text)
	return err == nil && (u.Scheme == "https" || loopback(u.Hostname()))
}

// Exposed returns an Invalid error when requests need no token and one of a service's addresses (host:port) can be
// reached from elsewhere, unless AUTH=off accepts that.
func (c *Config) Exposed(addrs ...string) error {
	if c.Issuer != "" || c.Mode == "off" {
		return nil
	}
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if err == nil && !loopback(host) {
			return fault.Field("AUTH_ISSUER", "must be set, since %q is not on loopback; AUTH=off lets everybody in", addr)
		}
	}
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
