package hold

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxBody bounds a request or an answer of the gateway.
const maxBody = 1 << 20

// Call is one HTTP request on its way.
type Call struct{ Client, Method, Path string }

// HTTP is a proxy in front of one HTTP server, such as the payment gateway.
type HTTP struct {
	*doors
	gate[Call]
	upstream string
	out      http.Transport
}

// NewHTTP returns a proxy for the server at upstream (host:port), which need not run yet. Close it.
func NewHTTP(upstream string) *HTTP {
	// What the client does not reuse is not reused here: the server's death must look as it is.
	h := &HTTP{upstream: upstream, out: http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	h.doors = newDoors(h.serve)
	return h
}

// serve answers what comes by one connection.
func (h *HTTP) serve(name string, client net.Conn) {
	for in := bufio.NewReader(client); ; {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(nil, req.Body, maxBody))
		if err != nil {
			return
		}
		t := h.catch(Call{name, req.Method, req.URL.Path})
		if !t.keep(h.life, Before) {
			return
		}
		resp, err := h.ask(req, body) //nolint:bodyclose // ask has read and closed it
		if err != nil {
			h.failed(t)
			return // as the server did
		}
		if !t.keep(h.life, After) || resp.Write(client) != nil || resp.Close {
			return
		}
	}
}

// ask sends a request on, also when its client is gone, and reads the whole answer.
func (h *HTTP) ask(r *http.Request, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(h.life, r.Method, "http://"+h.upstream+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header, req.Host = r.Header, r.Host
	resp, err := h.out.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	resp.Body = io.NopCloser(bytes.NewReader(said))
	return resp, err
}

func (c Call) hit() Hit { return Hit{Client: c.Client, Partition: -1, What: c.Method + " " + c.Path} }

// changes is true for a call that makes a payment or a refund, of the kind that its path ends with.
func (c Call) changes(end string) bool {
	return c.Method == http.MethodPost && strings.HasSuffix(c.Path, end)
}
