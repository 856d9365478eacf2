package hold

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strings"
)

// Call is one HTTP request on its way.
type Call struct{ Client, Method, Path string }

// HTTP is a proxy in front of one HTTP server, such as the payment gateway. Each request has a connection of its own:
// a client that loses the answer on one that it has used would ask again by itself, and nobody would hear of the loss.
type HTTP struct{ proxy[Call] }

// NewHTTP returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewHTTP(upstream string) *HTTP {
	h := &HTTP{}
	h.doors = newDoors(func(name string, client net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(client))
		if err != nil {
			return
		}
		r.Close = true // the answer says so too
		var request bytes.Buffer
		if err := r.Write(&request); err != nil {
			return
		}
		ask := func(request []byte) ([]byte, bool) { return h.ask(upstream, request) }
		answer, ok := h.exchange(Call{name, r.Method, r.URL.Path}, request.Bytes(), ask, func([]byte) bool { return true })
		if ok {
			_, _ = client.Write(answer)
		}
	})
	return h
}

// ask sends a request, also when its client is gone, and returns the whole answer; false: none came.
func (h *HTTP) ask(upstream string, request []byte) ([]byte, bool) {
	conn, done, err := h.dial(upstream)
	if err != nil {
		return nil, false
	}
	defer done()
	_, _ = conn.Write(request) // where that fails, no answer comes either
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, false
	}
	defer func() { _ = r.Body.Close() }()
	var answer bytes.Buffer
	err = r.Write(&answer)
	return answer.Bytes(), err == nil
}

func (c Call) hit() Hit { return Hit{Client: c.Client, Partition: -1, What: c.Method + " " + c.Path} }

// changes is true for a call that makes a payment or a refund, of the kind that its path ends with.
func (c Call) changes(end string) bool {
	return c.Method == http.MethodPost && strings.HasSuffix(c.Path, end)
}
