package hold

import (
	"bufio"
	"net"
)

// Redis is a proxy in front of one Redis server. It speaks RESP2 and RESP3, pipelines included. The connection of a subscriber
// passes as it is from there on; what a server pushes to others is taken for an answer.
type Redis struct {
	proxy[Command]
	clock shiftedClock
}

// NewRedis returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewRedis(upstream string) *Redis {
	r := &Redis{}
	r.doors = newDoors(func(name string, client net.Conn) {
		r.relay(client, upstream, readValue, readValue, func(frame []byte, s server) ([]byte, bool) {
			c := Command{name, arguments(frame)}
			if c.is("SUBSCRIBE") || c.is("PSUBSCRIBE") {
				s.stream(client, frame)
				return nil, false
			}
			answer, ok := r.exchange(c, frame, s.ask, c.done)
			if ok && c.is("TIME") {
				answer = r.clock.tell(name, answer)
			}
			return answer, ok
		})
	})
	return r
}

func readValue(in *bufio.Reader) ([]byte, error) { return appendFrame(nil, in) }
