// Package mail sends the mails of notification by SMTP.
package mail

import (
	"context"
	"errors"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/jackc/puddle/v2"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/upstream"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
)

// Refused is the error of Send when the server does not take this mail, for good (5xx, or the address is none) or for now.
type Refused struct {
	// Reason is the server's answer, without any address.
	Reason string
	// ForNow says that the server may take the mail later, and may take others: the error is of class Deferred.
	ForNow bool
}

func (r *Refused) Error() string { return "mail refused: " + r.Reason }

// idleFor is how long a connection is kept for the next mail; servers wait 5 minutes (RFC 5321, section 4.5.3.2.7), some less.
const idleFor = 15 * time.Second

// Mailer sends mails over a bounded pool of connections. Safe for concurrent use.
type Mailer struct {
	cfg      Config
	from     *netmail.Address
	domain   string
	pool     *puddle.Pool[*conn]
	standing *upstream.Standing
	runs     upstream.Runs // of recipients, since a mail was taken: refusals that may be about us
}

// New returns a Mailer; it connects with the first mail. The error is Invalid and names the variable.
func New(cfg Config) (m *Mailer, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	from, _ := netmail.ParseAddress(cfg.From) // Validate has read it
	m = &Mailer{
		cfg: cfg, from: from, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:],
		standing: upstream.New("mail server (SMTP_ADDR)"),
	}
	m.pool, err = puddle.NewPool(&puddle.Config[*conn]{
		Constructor: m.dial, Destructor: (*conn).quit, MaxSize: int32(cfg.Connections),
	})
	return m, fault.As(fault.Invalid, err)
}

// MessageID of the mail about an event, without angle brackets.
func (m *Mailer) MessageID(causeID string) string { return messageID(causeID, m.domain) }

// Send hands one mail to the server and blocks until the server has taken it, waiting for a free connection when all are in
// use. The error is a *Refused, or of class Unavailable: then the server may have the mail nevertheless, and sending it again
// carries the same Message-ID. A mail that cannot be written is Permanent.
func (m *Mailer) Send(ctx context.Context, mail domain.Mail) (err error) {
	ctx, end := watch(ctx, mail)
	defer func() { end(err) }()
	to, err := recipient(mail.To)
	if err != nil {
		return err
	}
	body, err := compose(m.from, to, m.MessageID(mail.CauseID), mail)
	if err != nil {
		return fault.New(fault.Permanent, "write mail: %w", err)
	}
	for {
		c, err := m.pool.Acquire(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return fault.New(fault.Unavailable, "wait for a connection to the mail server: %w", context.Cause(ctx))
		case err != nil:
			return err
		case c.IdleDuration() >= idleFor:
			c.Destroy()
			continue
		}
		if err := m.deliver(ctx, c, to, body); !errors.Is(err, errStale) {
			return err
		}
		m.pool.Reset() // the server was restarted, most likely: what else is idle is as dead, and nothing was sent yet
	}
}

// The longest address there can be, in octets (RFC 5321, section 4.5.3.1).
const (
	maxLocal   = 64
	maxAddress = maxLocal + 1 + 255
)

// recipient reads a bare address: nothing else may be in the text, least of all a line break.
func recipient(address string) (*netmail.Address, error) {
	to, err := netmail.ParseAddress(address)
	switch {
	case len(address) > maxAddress || strings.LastIndexByte(address, '@') > maxLocal:
		return nil, &Refused{Reason: "the address is too long"}
	case err != nil || to.Name != "" || to.Address != address && envelope(to) != "<"+address+">":
		return nil, &Refused{Reason: "not a mail address"}
	}
	return to, nil
}

// Ready returns nil, or why the mail server takes nothing from us at all until somebody changes a setting here or there.
func (m *Mailer) Ready() error { return m.standing.Ready() }

// Close says goodbye on the idle connections. No Send may be under way.
func (m *Mailer) Close() { m.pool.Close() }
