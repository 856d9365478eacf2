package mail

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func TestLogIn(t *testing.T) {
	trusted, ca := certificate(t)
	s := serve(t, func(v *gosmtp.Server) { v.TLSConfig, v.AllowInsecureAuth = trusted, false }, nil)
	s.password = "right"
	cfg := configFor(s.addr)
	cfg.TLS, cfg.CAFile, cfg.Username, cfg.Password = "required", ca, "shop", config.NewSecret("right")
	if err := open(t, cfg).Send(t.Context(), confirmed()); err != nil {
		t.Errorf("right password: %v", err)
	}
	cfg.Password = config.NewSecret("wrong")
	m := open(t, cfg)
	for range 3 {
		if err := m.Send(t.Context(), confirmed()); fault.ClassOf(err) != fault.Unavailable {
			t.Errorf("wrong password: %v", err)
		}
	}
	if why := m.Ready(); why == nil || !strings.Contains(why.Error(), "535") {
		t.Errorf("ready: %v", why)
	}
	s.with(func() { s.password = "wrong" })
	if err := m.Send(t.Context(), confirmed()); err != nil || m.Ready() != nil {
		t.Errorf("after the operator has seen to it: %v, %v", err, m.Ready())
	}
	s.with(func() { s.onAuth = answer(454, "busy") })
	m = open(t, cfg)
	if err := m.Send(t.Context(), confirmed()); fault.ClassOf(err) != fault.Unavailable || m.Ready() != nil {
		t.Errorf("busy: %v, %v", err, m.Ready())
	}
}

func TestTLS(t *testing.T) {
	trusted, ca := certificate(t)
	startTLS := serve(t, func(v *gosmtp.Server) { v.TLSConfig = trusted }, nil)
	implicit := serve(t, nil, func(ln net.Listener) net.Listener { return tls.NewListener(ln, trusted) })
	plain := serve(t, nil, nil)
	for _, tc := range []struct {
		name, policy, ca string
		server           *server
		works            bool
	}{
		{"required, offered", "required", ca, startTLS, true},
		{"required, not offered", "required", ca, plain, false},
		{"opportunistic, offered", "opportunistic", ca, startTLS, true},
		{"opportunistic, not offered", "opportunistic", "", plain, true},
		{"not trusted", "required", "", startTLS, false},
		{"none", "none", "", startTLS, true},
		{"implicit", "implicit", ca, implicit, true},
		{"implicit, not trusted", "implicit", "", implicit, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := configFor(tc.server.addr)
			cfg.TLS, cfg.CAFile = tc.policy, tc.ca
			m := open(t, cfg)
			err := m.Send(t.Context(), confirmed())
			if tc.works != (err == nil) || err != nil && fault.ClassOf(err) != fault.Unavailable {
				t.Errorf("%v", err)
			}
			if tc.works != (m.Ready() == nil) {
				t.Errorf("ready: %v", m.Ready())
			}
		})
	}
}

func TestConfigNamesTheVariable(t *testing.T) {
	for variable, change := range map[string]func(*Config){
		"SMTP_ADDR":       func(c *Config) { c.Addr = "mail.example.com" },
		"SMTP_ADDR: port": func(c *Config) { c.Addr = "mail.example.com:smtp" },
		"MAIL_FROM":       func(c *Config) { c.From = "nobody" },
		"SMTP_TLS: must":  func(c *Config) { c.Addr, c.Username, c.Password = "mail.example.com:25", "u", config.NewSecret("p") },
		"SMTP_PASSWORD":   func(c *Config) { c.Username = "u" },
		"SMTP_HELO":       func(c *Config) { c.HELO = "a b" },
		"SMTP_CA_FILE":    func(c *Config) { c.CAFile = "no/such/file" },
	} {
		cfg := configFor("127.0.0.1:25")
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if _, err := New(cfg); fault.ClassOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), variable) {
			t.Errorf("%s: %v", variable, err)
		}
	}
	for _, set := range []string{"SMTP_TLS=yes", "SMTP_AUTH=custom", "SMTP_CONNECTIONS=0", "SMTP_TIMEOUT=1h"} {
		variable, _, _ := strings.Cut(set, "=")
		if _, err := config.Load[Config]([]string{set}); fault.ClassOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), variable) {
			t.Errorf("%s: %v", set, err)
		}
	}
}
