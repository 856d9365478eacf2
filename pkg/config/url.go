package config

import (
	"net/url"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// BaseURL reads the variable that names where an HTTP API begins, http(s)://host[:port][/path]. A user, a query and a
// fragment are refused.
func BaseURL(variable, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" ||
		u.User != nil {
		return &url.URL{}, fault.Field(variable, "must be http(s)://host[:port][/path], is %q", Shown(text))
	}
	return u, nil
}

// Shown is an address as an error or a log may say it: without its password, and nothing of it when it cannot be read.
func Shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "no address"
	}
	return u.Redacted()
}
