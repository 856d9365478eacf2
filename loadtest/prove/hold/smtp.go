package hold

import (
	"bufio"
	"bytes"
	"net"
)

// Mail is one message that was handed over whole, dot-stuffed as on the wire.
type Mail struct {
	Client string
	Data   []byte
}

func (m Mail) hit() Hit { return Hit{Client: m.Client, Partition: -1, What: "DATA"} }

// SMTP is a proxy in front of one mail server. Commands are passed one by one; what is held is the end of a mail (Before),
// or that the server has accepted it (After). The server must not offer STARTTLS.
type SMTP struct{ proxy[Mail] }

// NewSMTP returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewSMTP(upstream string) *SMTP {
	p := &SMTP{}
	p.doors = newDoors(func(name string, client net.Conn) {
		const greeting, command, mail = 0, 1, 2
		next := greeting // that the server greets is its answer to nothing
		request := func(in *bufio.Reader) ([]byte, error) {
			switch next {
			case greeting:
				return nil, nil
			case mail:
				return readLines(in, func(line []byte) bool { return string(line) == ".\r\n" })
			}
			return in.ReadBytes('\n')
		}
		p.relay(client, upstream, request, readReply, func(request []byte, s server) (answer []byte, ok bool) {
			if next == mail {
				answer, ok = p.exchange(Mail{name, request}, request, s.ask, accepted)
			} else {
				answer, ok = s.ask(request)
			}
			next = command
			if bytes.HasPrefix(answer, []byte("354")) { // DATA may come
				next = mail
			}
			return answer, ok
		})
	})
	return p
}

func accepted(reply []byte) bool { return bytes.HasPrefix(reply, []byte("250")) }

// readReply reads one reply of a server, of several lines perhaps.
func readReply(in *bufio.Reader) ([]byte, error) {
	return readLines(in, func(line []byte) bool { return len(line) < 4 || line[3] != '-' })
}

// readLines reads to the end of the last line.
func readLines(in *bufio.Reader, last func(line []byte) bool) (lines []byte, err error) {
	for {
		line, err := in.ReadBytes('\n')
		lines = append(lines, line...)
		if err != nil || last(line) {
			return lines, err
		}
	}
}
