package hold

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
)

// Mail is one message that was handed over whole, dot-stuffed as on the wire.
type Mail struct {
	Client string
	Data   []byte
}

func (m Mail) hit() Hit { return Hit{Client: m.Client, Partition: -1, What: "DATA"} }

// SMTP is a proxy in front of one mail server. Commands are passed one by one; what is held is the end of a mail (Before),
// or that the server has accepted it (After). The server must not offer STARTTLS.
type SMTP struct {
	*doors
	gate[Mail]
}

// NewSMTP returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewSMTP(upstream string) *SMTP {
	s := &SMTP{}
	s.doors = newDoors(func(name string, client net.Conn) { s.pass(name, client, upstream) })
	return s
}

func (s *SMTP) pass(name string, client net.Conn, upstream string) {
	server, done, err := s.dial(upstream)
	if err != nil {
		return
	}
	defer done()
	c := smtpSession{s: s, name: name, client: client, server: server, from: bufio.NewReader(client), to: bufio.NewReader(server)}
	if c.reply() != nil { // the greeting
		return
	}
	for c.command() == nil {
	}
}

type smtpSession struct {
	s              *SMTP
	name           string
	client, server net.Conn
	from, to       *bufio.Reader
	answer         []byte // the last reply of the server
}

// command passes one command and its reply.
func (c *smtpSession) command() error {
	line, err := c.from.ReadBytes('\n')
	if err != nil {
		return err
	}
	if _, err := c.server.Write(line); err != nil {
		return err
	}
	if err := c.reply(); err != nil {
		return err
	}
	if strings.EqualFold(strings.TrimSpace(string(line)), "DATA") && c.answered("354") {
		return c.data()
	}
	return nil
}

func (c *smtpSession) answered(code string) bool { return bytes.HasPrefix(c.answer, []byte(code)) }

// data passes a message; its end is what makes the server take it.
func (c *smtpSession) data() error {
	var data []byte
	for {
		line, err := c.from.ReadBytes('\n')
		if err != nil {
			return err // the server sees it end without its end
		}
		if data = append(data, line...); len(data) > maxFrame {
			return io.ErrShortBuffer
		}
		if string(line) == ".\r\n" {
			break
		}
	}
	t := c.s.catch(Mail{c.name, data})
	if !t.keep(c.s.life, Before) {
		return io.EOF
	}
	_, err := c.server.Write(data)
	if err == nil {
		err = c.read()
	}
	switch {
	case err != nil || !c.answered("250"):
		c.s.failed(t)
	case !t.keep(c.s.life, After):
		return io.EOF
	}
	if err == nil {
		_, err = c.client.Write(c.answer)
	}
	return err
}

// reply passes one reply of the server.
func (c *smtpSession) reply() error {
	if err := c.read(); err != nil {
		return err
	}
	_, err := c.client.Write(c.answer)
	return err
}

// read reads one reply of the server, of several lines perhaps.
func (c *smtpSession) read() error {
	c.answer = nil
	for {
		line, err := c.to.ReadBytes('\n')
		if err != nil {
			return err
		}
		if c.answer = append(c.answer, line...); len(line) < 4 || line[3] != '-' {
			return nil
		}
	}
}
