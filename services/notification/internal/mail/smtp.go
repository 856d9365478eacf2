package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/puddle/v2"
	"github.com/troupe-dev/troupe/pkg/fault"
	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// errStale means that a connection kept from before turned out to be dead, before anything of the mail was said.
var errStale = errors.New("connection was closed by the server")

// takenWithin is how long the answer to a whole message is waited for, as RFC 5321, section 4.5.3.2.6, has it: the
// server may scan the message first, and one that we hang up on delivers it all the same, and gets it again.
const takenWithin = 10 * time.Minute

// conn is one connection to the mail server.
type conn struct {
	smtp *smtp.Client
	raw  net.Conn // below TLS; closing it ends whatever waits on it
	used bool
}

func (c *conn) close() { _ = c.raw.Close() } // nothing is lost with it: what counted was answered

// within gives what is said next, and its answer, that long. On a closed connection saying it fails by itself.
func (c *conn) within(d time.Duration) { _ = c.raw.SetDeadline(time.Now().Add(d)) }

func (c *conn) quit() {
	c.within(time.Second)
	_ = c.smtp.Quit() // a courtesy
	c.close()
}

// dial connects, says hello, switches to TLS and logs in. go-mail leaves the connection open when any of that fails, and does
// not look at ctx once connected, so both are done here. Password and certificates are read anew.
func (m *Mailer) dial(ctx context.Context) (*conn, error) {
	config, err := m.cfg.tlsConfig()
	if err != nil {
		return nil, fault.As(fault.Unavailable, err)
	}
	options, err := m.cfg.options(config)
	if err != nil {
		return nil, fault.As(fault.Unavailable, err)
	}
	c := &conn{}
	var unwatch func() bool
	dial := func(dialing context.Context, network, _ string) (net.Conn, error) {
		raw, err := new(net.Dialer).DialContext(dialing, network, m.cfg.Addr)
		if err != nil {
			return nil, err
		}
		c.raw = raw
		unwatch = context.AfterFunc(ctx, c.close)
		if m.cfg.TLS != "implicit" {
			return raw, nil
		}
		t := tls.Client(raw, config)
		return t, t.HandshakeContext(dialing)
	}
	host, _, _ := net.SplitHostPort(m.cfg.Addr)
	client, err := gomail.NewClient(host, append(options, gomail.WithDialContextFunc(dial))...)
	if err != nil {
		return nil, fault.New(fault.Permanent, "mail client: %w", err)
	}
	c.smtp, err = client.DialToSMTPClientWithContext(ctx)
	if unwatch != nil {
		unwatch()
	}
	if err == nil {
		return c, nil
	}
	if c.raw != nil {
		c.close()
	}
	return nil, m.failed("connect", err)
}

// deliver says one mail on a connection and keeps or closes the connection.
func (m *Mailer) deliver(ctx context.Context, pooled *puddle.Resource[*conn], to *netmail.Address, body []byte) error {
	c := pooled.Value()
	unwatch := context.AfterFunc(ctx, c.close)
	err := m.talk(c, to, body)
	reply, answered := errors.AsType[*textproto.Error](err)
	c.within(m.cfg.Timeout)
	whole := err == nil || answered && reply.Code != 421 && c.smtp.Reset() == nil
	if unwatch() && whole {
		c.used = true
		pooled.Release()
	} else {
		pooled.Destroy()
	}
	if err == nil {
		m.runs.End()
		m.standing.Took()
	}
	return err
}

// talk says MAIL, RCPT, DATA and the message, and gives the first answer that is not as it should be its meaning.
func (m *Mailer) talk(c *conn, to *netmail.Address, body []byte) error {
	ascii := !strings.ContainsFunc(to.Address+m.from.Address, func(r rune) bool { return r >= utf8.RuneSelf })
	if ok, _ := c.smtp.Extension("SMTPUTF8"); !ok && !ascii {
		return &Refused{Reason: "the mail server takes no addresses outside ASCII"}
	}
	c.smtp.SkipSMTPUTF8(ascii) // asking for it needlessly makes mail undeliverable at hops without it
	c.within(m.cfg.Timeout)
	if err := c.smtp.Mail(envelope(m.from)); err != nil {
		return stale(c, m.failed("MAIL FROM", err))
	}
	c.within(m.cfg.Timeout)
	if err := c.smtp.Rcpt(envelope(to)); errors.Is(err, os.ErrDeadlineExceeded) {
		// A server that answers others may wait for the recipient's own: anybody's domain can bring that about.
		return putOff("RCPT TO", "no answer about the recipient within "+m.cfg.Timeout.String(), err)
	} else if err != nil {
		return m.refused("RCPT TO", to, err)
	}
	c.within(m.cfg.Timeout)
	w, err := c.smtp.Data()
	if err != nil {
		return m.refused("DATA", to, err)
	}
	c.within(m.cfg.Timeout)
	if _, err := w.Write(body); err != nil {
		return fault.New(fault.Unavailable, "mail server: message: %w", err)
	}
	c.within(takenWithin)
	if err := w.Close(); err != nil {
		return m.refused("end of message", to, err)
	}
	return nil
}

// stale marks the end of a connection that was kept from before.
func stale(c *conn, err error) error {
	reply, answered := errors.AsType[*textproto.Error](err)
	if c.used && (!answered || reply.Code == 421) {
		return errors.Join(errStale, err)
	}
	return err
}

// failed classifies what goes wrong before a recipient is named: it has nothing to do with the mail. A refusal for good is for
// the operator, since every mail meets it; the mails wait.
func (m *Mailer) failed(step string, err error) error {
	reply, answered := errors.AsType[*textproto.Error](err)
	if answered {
		err = quote(reply)
	}
	if answered && reply.Code/100 != 4 || !answered && !outage(err) {
		m.standing.Refused(step + ": " + err.Error())
	}
	return fault.New(fault.Unavailable, "mail server: %s: %w", step, err)
}

// outage says that an error is of the connection, not of what was agreed on it (certificate, STARTTLS, log-in).
func outage(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// notTheRecipient are answers that say that we talk wrongly or have no right to talk, whoever the recipient is. Those
// of 4xx are about our log-in and TLS (RFC 4954, RFC 3207), and 421 is about the connection.
var notTheRecipient = []int{421, 432, 454, 500, 502, 503, 504, 530, 534, 535, 538}

// maybeOurs is why a run of refusals that do not name the recipient is remembered, whatever their codes.
const maybeOurs = "does not name the recipient"

// ofRecipient are the enhanced codes (RFC 3463) of an address (5.1) and its mailbox (5.2). 5.1.7 and 5.1.8 are of the
// sender's.
var ofRecipient = regexp.MustCompile(`^5\.(1\.([0-69]|10)|2\.\d+)\b`)

// refused classifies what goes wrong once a recipient is named: 4xx means that this mail is put off, 5xx that it will
// never get there, if that is about the recipient.
//
// The enhanced code does not decide about 4xx: a server may pass on what the recipient's server said, so anybody's
// domain could make it say "the system is full". A server that puts everything off is met as well as one that puts one
// mail off: each waits alone, nothing is lost, and what is tried again is less and less often.
//
// A 5xx that does not name the recipient may be ours to mend: we may not relay, or a record of our domain is wrong. By
// policy (5.7.x) it is put off; otherwise only while others' mails are not taken. When several recipients meet one in a
// row, an operator hears of it.
func (m *Mailer) refused(step string, to *netmail.Address, err error) error {
	reply, answered := errors.AsType[*textproto.Error](err)
	if !answered {
		return fault.New(fault.Unavailable, "mail server: %s: %w", step, err)
	}
	if slices.Contains(notTheRecipient, reply.Code) {
		return m.failed(step, err)
	}
	said, class := quote(reply), reply.Code/100
	if class != 4 && class != 5 {
		return fault.New(fault.Unavailable, "mail server: %s: %w", step, said)
	}
	mayBeOurs := class == 5 && !ofRecipient.MatchString(reply.Msg)
	if mayBeOurs {
		m.runs.Add(maybeOurs, to.Address)
	}
	long := m.runs.Long(maybeOurs)
	switch {
	case !long:
		m.standing.Accepted() // the server judged this one mail, so it listens to us
	case mayBeOurs:
		m.standing.Refused(step + ": " + said.Error())
	}
	byPolicy := strings.HasPrefix(reply.Msg, "5.7.")
	reason := fmt.Sprintf("%d %s", said.Code, said.Msg)
	if class == 4 || mayBeOurs && (byPolicy || long || !m.standing.TakesOthers()) {
		return putOff(step, reason, said)
	}
	return errors.Join(&Refused{Reason: reason}, said)
}

// putOff is the error of a mail that waits alone.
func putOff(step, reason string, err error) error {
	return fault.Defer(0, "mail server: %s: %w", step, errors.Join(&Refused{Reason: reason, ForNow: true}, err))
}

var address = regexp.MustCompile(`\S*@\S*`)

// quote makes a server's answer one short line without addresses: it ends up in logs.
func quote(r *textproto.Error) *textproto.Error {
	return &textproto.Error{Code: r.Code, Msg: oneLine(address.ReplaceAllString(r.Msg, "(address)"))}
}

func envelope(a *netmail.Address) string { return (&netmail.Address{Address: a.Address}).String() }
