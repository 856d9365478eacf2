package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/services/troupe/internal/switches"
	"golang.org/x/net/netutil"
)

// Bounds of the SMTP server.
const (
	maxConnections  = 128
	maxMessageBytes = 1 << 20
	maxRecipients   = 10
	idleTimeout     = time.Minute
	writeTimeout    = 10 * time.Second
)

// serveSMTP takes mail until ctx ends. It owns ln. A mail that is coming in then gets no answer: whoever sent it sends it
// again.
func serveSMTP(ctx context.Context, ln net.Listener, s *store, c *switches.Switches[Control]) error {
	v := gosmtp.NewServer(gosmtp.BackendFunc(func(conn *gosmtp.Conn) (gosmtp.Session, error) {
		session := &session{ctx: ctx, conn: conn, store: s, control: c}
		return session, session.hangUpInOutage()
	}))
	v.Domain = "mailbox.troupe.example"
	v.MaxMessageBytes = maxMessageBytes
	v.MaxRecipients = maxRecipients
	v.ReadTimeout = idleTimeout
	v.WriteTimeout = writeTimeout
	v.EnableSMTPUTF8 = true
	v.ErrorLog = slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn)
	// Close leaves ln open when it comes before Serve.
	defer context.AfterFunc(ctx, func() { _ = errors.Join(v.Close(), ln.Close()) })()
	if err := v.Serve(netutil.LimitListener(ln, maxConnections)); err != nil {
		return fmt.Errorf("serve SMTP: %w", err)
	}
	return nil
}

// session is one connection's dialogue; its methods are called one at a time.
type session struct {
	ctx     context.Context // of the server
	conn    *gosmtp.Conn
	store   *store
	control *switches.Switches[Control]
	from    string
	to      []string
}

var (
	errNotNow     = reply(451, gosmtp.EnhancedCode{4, 3, 0}, "the mailbox cannot store this now, try again")
	errNoRoom     = reply(452, gosmtp.EnhancedCode{4, 3, 1}, "the mailbox is full")
	errNoSuchUser = reply(550, gosmtp.EnhancedCode{5, 1, 1}, "no such mailbox here")
	errNotReached = reply(450, gosmtp.EnhancedCode{4, 1, 2}, "the domain of this address cannot be found now")
	errOutage     = reply(421, gosmtp.EnhancedCode{4, 3, 2}, "the mailbox is out of order")
)

func reply(code int, enhanced gosmtp.EnhancedCode, text string) *gosmtp.SMTPError {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// hangUpInOutage closes the connection while the mailbox is out of order; its error then reaches nobody.
func (s *session) hangUpInOutage() error {
	if !s.control.Now().Outage {
		return nil
	}
	_ = s.conn.Close() // that is the outage
	return errOutage
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *gosmtp.MailOptions) error {
	s.from, s.to = from, nil
	return s.hangUpInOutage()
}

func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if err := s.hangUpInOutage(); err != nil {
		return err
	}
	now, address := s.control.Now(), strings.ToLower(to)
	switch {
	case switches.Chosen(address, now.RefusePercent):
		return errNoSuchUser
	case switches.Chosen(address, now.DeferPercent):
		return errNotReached
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if wait.Sleep(s.ctx, s.control.Now().delay()) != nil {
		return errNotNow // it stops
	}
	if err := s.hangUpInOutage(); err != nil {
		return err
	}
	switch err := s.store.append(s.from, s.to, raw); {
	case errors.Is(err, errFull):
		return errNoRoom
	case err != nil:
		slog.Error("mail not stored", "error", err)
		return errNotNow
	}
	return nil
}
