package main

import (
	"context"
	"fmt"
	"net"
	"net/smtp"
	"time"
)

// mailer sends mails, and keeps its connections for the next ones.
type mailer struct {
	addr string
	kept chan *connection
}

type connection struct {
	*smtp.Client
	raw net.Conn
}

const (
	keptConnections = 16
	mailWithin      = 10 * time.Second
)

func newMailer(addr string) *mailer { return &mailer{addr, make(chan *connection, keptConnections)} }

// send tells the customer of an order what became of it. The Message-ID is the same whenever the same is told.
func (m *mailer) send(ctx context.Context, o Placed, what string) error {
	c, err := m.connect(ctx)
	if err != nil {
		return err
	}
	if err := c.say(o, what); err != nil {
		_ = c.Close() // the next try has a fresh one
		return fmt.Errorf("mail server: %w", err)
	}
	select {
	case m.kept <- c:
	default:
		_ = c.Quit() // a courtesy
	}
	return nil
}

func (m *mailer) connect(ctx context.Context) (*connection, error) {
	select {
	case c := <-m.kept:
		return c, nil
	default:
	}
	raw, err := (&net.Dialer{Timeout: mailWithin}).DialContext(ctx, "tcp", m.addr)
	if err != nil {
		return nil, err
	}
	at := time.Now().Add(mailWithin)
	if first, ok := ctx.Deadline(); ok && first.Before(at) {
		at = first
	}
	if err := raw.SetDeadline(at); err != nil { // the greeting may never come
		_ = raw.Close()
		return nil, err
	}
	host, _, _ := net.SplitHostPort(m.addr)
	c, err := smtp.NewClient(raw, host)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &connection{c, raw}, nil
}

func (c *connection) say(o Placed, what string) error {
	if err := c.raw.SetDeadline(time.Now().Add(mailWithin)); err != nil {
		return err
	}
	if err := c.Mail("orders@example.com"); err != nil {
		return err
	}
	if err := c.Rcpt(o.Email); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "From: orders@example.com\r\nTo: %s\r\nSubject: Your order %s is %s\r\n"+
		"Message-ID: <%[2]s.%[3]s@orchestrated.example>\r\nDate: %[4]s\r\n\r\n"+
		"Your order over %[5]d %[6]s (minor units) is %[3]s.\r\n",
		o.Email, o.ID, what, time.Now().Format(time.RFC1123Z), o.Total, o.Currency); err != nil {
		return err
	}
	return w.Close()
}
