package mailbox

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// Bounds of the SMTP server.
const (
	maxConnections  = 128
	maxMessageBytes = 1 << 20
	maxRecipients   = 10
	idleTimeout     = time.Minute
	writeTimeout    = 10 * time.Second
)

// server takes mail by SMTP.
type server struct {
	smtp     *gosmtp.Server
	listener *listener
	store    *store
	control  *control
}

func newServer(ln net.Listener, s *store, c *control) *server {
	v := &server{store: s, control: c}
	v.listener = newListener(ln, c)
	v.smtp = gosmtp.NewServer(gosmtp.BackendFunc(v.newSession))
	v.smtp.Domain = "mailbox.troupe.example"
	v.smtp.MaxMessageBytes = maxMessageBytes
	v.smtp.MaxRecipients = maxRecipients
	v.smtp.ReadTimeout = idleTimeout
	v.smtp.WriteTimeout = writeTimeout
	v.smtp.EnableSMTPUTF8 = true
	v.smtp.ErrorLog = smtpLog{}
	return v
}

// run serves until ctx ends; mails that are coming in then are finished, within stopWithin.
func (v *server) run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- v.smtp.Serve(v.listener) }() // received below in every case
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve SMTP: %w", err), v.smtp.Close())
	case <-ctx.Done():
	}
	deadline, done := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer done()
	cut := context.AfterFunc(deadline, v.listener.closeAll)
	defer cut()
	v.listener.stop()
	err := v.smtp.Shutdown(deadline)
	_ = v.listener.Close() // Shutdown leaves it open when it came before Serve
	return errors.Join(err, <-served)
}

// cutOff ends what the control says must not go on.
func (v *server) cutOff() { v.listener.closeIdle() }

func (v *server) newSession(c *gosmtp.Conn) (gosmtp.Session, error) {
	t, ok := c.Conn().(*tracked)
	if !ok {
		return nil, fmt.Errorf("connection of type %T", c.Conn())
	}
	return &session{server: v, conn: t}, nil
}

// session is one connection's dialogue; its methods are called one at a time.
type session struct {
	server *server
	conn   *tracked
	from   string
	to     []string
}

var (
	errNotNow     = reply(451, "4.3.0", "the mailbox cannot store this now, try again")
	errNoRoom     = reply(452, "4.3.1", "the mailbox is full")
	errNoSuchUser = reply(550, "5.1.1", "no such mailbox here")
	errNotReached = reply(450, "4.1.2", "the domain of this address cannot be found now")
	errOutage     = reply(421, "4.3.2", "the mailbox is out of order")
)

func reply(code int, enhanced, text string) *gosmtp.SMTPError {
	e := &gosmtp.SMTPError{Code: code, Message: text}
	_, _ = fmt.Sscanf(enhanced, "%d.%d.%d", &e.EnhancedCode[0], &e.EnhancedCode[1], &e.EnhancedCode[2])
	return e
}

// Reset comes after each answer to a mail too: then the connection is idle again.
func (s *session) Reset() {
	s.from, s.to = "", nil
	s.conn.setBusy(false)
}

func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *gosmtp.MailOptions) error {
	s.from, s.to = from, nil
	return nil
}

func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	now := s.server.control.now()
	if refused(to) || chosen(to, now.RefusePercent) {
		return errNoSuchUser
	}
	if chosen(to, now.DeferPercent) {
		return errNotReached
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	s.conn.setBusy(true)
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	delay := time.Duration(s.server.control.now().DelayMS) * time.Millisecond
	if err := s.server.control.wait(s.conn.listener.stopping, delay); err != nil {
		return err
	}
	switch err := s.server.store.append(s.from, s.to, raw); {
	case errors.Is(err, errFull):
		return errNoRoom
	case err != nil:
		slog.Error("mail not stored", "error", err)
		return errNotNow
	}
	return nil
}

// refused says whether the local part of an address, without its tag, is "refused".
func refused(address string) bool {
	local, _, _ := strings.Cut(address, "@")
	local, _, _ = strings.Cut(local, "+")
	return strings.EqualFold(local, "refused")
}

// chosen picks that many of a hundred addresses; the same ones each time, since a refusal for good is for good.
func chosen(to string, percent int) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.ToLower(to))) // a hash never fails
	return int(h.Sum32()%100) < percent
}

// smtpLog takes what go-smtp has to say about connections that failed.
type smtpLog struct{}

func (smtpLog) Printf(format string, v ...any) {
	slog.Warn("SMTP connection failed", "error", fmt.Sprintf(format, v...))
}

func (smtpLog) Println(v ...any) {
	slog.Warn("SMTP connection failed", "error", strings.TrimSpace(fmt.Sprintln(v...)))
}
