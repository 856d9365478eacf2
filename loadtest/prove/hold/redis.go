package hold

import (
	"bufio"
	"bytes"
	"net"
)

// Redis is a proxy in front of one Redis server. It speaks RESP2 and RESP3, pipelines included. The connection of a subscriber
// passes as it is from there on.
type Redis struct {
	*doors
	gate[Command]
	clock shiftedClock
}

// NewRedis returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewRedis(upstream string) *Redis {
	r := &Redis{}
	r.doors = newDoors(func(name string, client net.Conn) {
		r.relay(client, upstream, readValue, func(frame []byte, s server) ([]byte, bool) {
			return r.answer(name, client, frame, s)
		})
	})
	return r
}

func readValue(in *bufio.Reader) ([]byte, error) { return appendFrame(nil, in) }

// answer is that to one command. One that was refused has not happened, so its hold waits for another.
func (r *Redis) answer(name string, client net.Conn, frame []byte, s server) ([]byte, bool) {
	if subscribes(frame) {
		s.stream(client, frame)
		return nil, false
	}
	var t *trap[Command]
	if !r.idle() {
		t = r.catch(Command{name, arguments(frame)})
	}
	if !t.keep(r.life, Before) {
		return nil, false
	}
	answer, ok := s.ask(frame)
	for ok && answer[0] == '>' { // pushed, and no answer
		_, _ = client.Write(answer)
		answer, ok = <-s.answers
	}
	switch {
	case !ok || t != nil && !t.call.done(answer):
		r.failed(t)
	case !t.keep(r.life, After):
		return nil, false
	case asksTime(frame):
		answer = r.clock.tell(name, answer)
	}
	return answer, ok
}

// subscribes is true for a command after which the connection is told of messages.
func subscribes(frame []byte) bool {
	lines := bytes.SplitN(frame, []byte("\r\n"), 4) // how many arguments, the length of the first, and the first
	return len(lines) > 2 && (bytes.EqualFold(lines[2], []byte("SUBSCRIBE")) || bytes.EqualFold(lines[2], []byte("PSUBSCRIBE")))
}
