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

// HTTP is a proxy in front of one HTTP server, such as the payment gateway.
type HTTP struct{ proxy[Call] }

// NewHTTP returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewHTTP(upstream string) *HTTP {
	h := &HTTP{}
	h.doors = newDoors(func(name string, client net.Conn) {
		h.relay(client, upstream, readRequest, readResponse, func(request []byte, s server) ([]byte, bool) {
			method, rest, _ := strings.Cut(string(request), " ")
			target, _, _ := strings.Cut(rest, " ")
			path, _, _ := strings.Cut(target, "?")
			return h.exchange(Call{name, method, path}, request, s, func([]byte) bool { return true })
		})
	})
	return h
}

func readRequest(in *bufio.Reader) ([]byte, error) {
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, err
	}
	var whole bytes.Buffer
	err = r.Write(&whole)
	return whole.Bytes(), err
}

func readResponse(in *bufio.Reader) ([]byte, error) {
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Body.Close() }()
	var whole bytes.Buffer
	err = r.Write(&whole)
	return whole.Bytes(), err
}

func (c Call) hit() Hit { return Hit{Client: c.Client, Partition: -1, What: c.Method + " " + c.Path} }

// changes is true for a call that makes a payment or a refund, of the kind that its path ends with.
func (c Call) changes(end string) bool {
	return c.Method == http.MethodPost && strings.HasSuffix(c.Path, end)
}
