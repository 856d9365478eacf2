package hold_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/smtp"
	"slices"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
)

// mailbox keeps what it has accepted.
type mailbox struct {
	mu    sync.Mutex
	mails []string
}

func (m *mailbox) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return m, nil }
func (m *mailbox) Mail(string, *gosmtp.MailOptions) error          { return nil }
func (m *mailbox) Rcpt(string, *gosmtp.RcptOptions) error          { return nil }
func (m *mailbox) Reset()                                          {}
func (m *mailbox) Logout() error                                   { return nil }
func (m *mailbox) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if bytes.Contains(body, []byte("refuse")) {
		return &gosmtp.SMTPError{Code: 550, Message: "no"}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mails = append(m.mails, string(bytes.TrimSpace(body)))
	return nil
}

func (m *mailbox) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mails)
}

func openMailbox(t *testing.T) (p *hold.SMTP, addr string, box *mailbox) {
	t.Helper()
	box = &mailbox{}
	srv := gosmtp.NewServer(box)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(ln) }) // it ends with Close
	t.Cleanup(func() {
		_ = srv.Close()
		serving.Wait()
	})
	p = hold.NewSMTP(ln.Addr().String())
	t.Cleanup(p.Close)
	if addr, err = p.Addr("notification"); err != nil {
		t.Fatal(err)
	}
	return p, addr, box
}

func send(addr, body string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- smtp.SendMail(addr, nil, "a@example.com", []string{"b@example.com"}, []byte(body)) }()
	return done
}

// sendBy is the same by a connection that can be closed.
func sendBy(conn net.Conn, body string) error {
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	if err := errors.Join(c.Mail("a@example.com"), c.Rcpt("b@example.com")); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, body)
	return errors.Join(err, w.Close())
}

func TestSMTPHolds(t *testing.T) {
	for when, accepted := range map[hold.When]int{hold.Before: 0, hold.After: 1} {
		p, addr, box := openMailbox(t)
		h := p.Hold(func(m hold.Mail) bool { return bytes.Contains(m.Data, []byte("held")) }, when)
		if err := <-send(addr, "passes\r\n.dots\r\n"); err != nil {
			t.Fatal(err)
		}
		done := send(addr, "held")
		if got := hit(t, h); got.Client != "notification" || len(box.all()) != 1+accepted {
			t.Errorf("%v: held %+v; the server has %q", when, got, box.all())
		}
		h.Release()
		if err := <-done; err != nil || !slices.Equal(box.all(), []string{"passes\r\n.dots", "held"}) {
			t.Errorf("%v: %v; the server has %q", when, err, box.all())
		}

		h = p.Hold(func(hold.Mail) bool { return true }, when)
		done = send(addr, "dropped")
		hit(t, h)
		h.Drop()
		if err := <-done; err == nil || len(box.all()) != 2+accepted {
			t.Errorf("%v, dropped: %v; the server has %q", when, err, box.all())
		}
	}
}

func TestSMTPDeliversLate(t *testing.T) {
	p, addr, box := openMailbox(t)
	h := p.Hold(func(hold.Mail) bool { return true }, hold.Before)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	done := make(chan error, 1)
	go func() { done <- sendBy(conn, "x") }()
	hit(t, h)
	_ = conn.Close()
	if err := <-done; err == nil || len(box.all()) != 0 {
		t.Errorf("its client is gone: %v; the server has %q", err, box.all())
	}
	h.Release()
	until(t, "the late mail arrives", func() bool { return len(box.all()) == 1 })
}

// A mail that is refused was not accepted: the hold waits for one that is.
func TestSMTPHoldWaitsForAcceptance(t *testing.T) {
	p, addr, box := openMailbox(t)
	h := p.Hold(func(hold.Mail) bool { return true }, hold.After)
	if err := <-send(addr, "refuse"); err == nil {
		t.Fatal("not refused")
	}
	done := send(addr, "x")
	hit(t, h)
	if len(box.all()) != 1 {
		t.Errorf("the server has %q", box.all())
	}
	h.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What nobody releases does not keep the proxy from closing.
func TestSMTPCloses(t *testing.T) {
	p, addr, _ := openMailbox(t)
	h := p.Hold(func(hold.Mail) bool { return true }, hold.After)
	done := send(addr, "x")
	hit(t, h)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		p.Close()
	}()
	select {
	case <-closed:
	case <-time.After(within):
		t.Fatal("Close waits")
	}
	if err := <-done; err == nil {
		t.Error("the answer arrived")
	}
}
