package hold

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
)

// Mail is one message that was handed over whole, dot-stuffed as on the wire.
type Mail struct {
	Client string
	Data   []byte
}

// SMTP is a proxy in front of one mail server. Commands are passed one by one. After STARTTLS it sees nothing any more.
type SMTP struct {
	upstream string
	doors    *doors
	gate     gate[Mail]
}

// NewSMTP returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewSMTP(upstream string) *SMTP {
	s := &SMTP{upstream: upstream}
	s.doors = newDoors(s.serve)
	return s
}

// Addr is the address (host:port) for one client, by whose name its mails are known.
func (s *SMTP) Addr(client string) (string, error) { return s.doors.open(client) }

// Hold keeps back the end of the next mail that matches (Before), or that the server has accepted it (After). match must not
// block.
func (s *SMTP) Hold(match func(Mail) bool, when When) *Held { return s.gate.arm(match, when) }

// Close ends all connections and waits for them. What is held is dropped.
func (s *SMTP) Close() { s.doors.close() }

func (s *SMTP) serve(name string, client net.Conn) {
	server, done, err := s.doors.dial(s.upstream)
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
	switch verb := strings.ToUpper(strings.TrimSpace(string(line))); {
	case verb == "DATA" && c.answered("354"):
		return c.data()
	case verb == "STARTTLS" && c.answered("220"):
		c.blind()
		return io.EOF
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
	var t *trap[Mail]
	if !c.s.gate.idle() {
		t = c.s.gate.catch(Mail{c.name, data})
	}
	stay := func(when When) bool {
		hit := Hit{Client: c.name, Partition: -1, What: "DATA"}
		return t == nil || t.when != when || t.held.stay(hit, c.s.doors.life.Done(), func() { _ = c.client.Close() })
	}
	if !stay(Before) {
		return io.EOF
	}
	if _, err := c.server.Write(data); err != nil {
		c.again(t)
		return err
	}
	if err := c.read(); err != nil {
		c.again(t)
		return err
	}
	if !c.answered("250") {
		c.again(t)
	} else if !stay(After) {
		return io.EOF
	}
	_, err := c.client.Write(c.answer)
	return err
}

// again arms a hold whose mail was not accepted.
func (c *smtpSession) again(t *trap[Mail]) {
	if t != nil && t.when == After {
		c.s.gate.add(t)
	}
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

// blind passes everything until one side ends.
func (c *smtpSession) blind() {
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(c.server, c.from)
		_ = c.server.Close()
	})
	_, _ = io.Copy(c.client, c.to)
	_ = c.client.Close()
	both.Wait()
}
