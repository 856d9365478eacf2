package hold

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxBody bounds a request or an answer of the gateway.
const maxBody = 1 << 20

// Call is one HTTP request on its way; Body is all of it.
type Call struct {
	Client, Method, Path string
	Header               http.Header
	Body                 string
}

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
	h.doors = newDoors(h.answer)
	return h
}

// answer answers what comes by one connection.
func (h *HTTP) answer(name string, client net.Conn) {
	once := &oneConn{conn: client, over: make(chan struct{})}
	server := http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.pass(w, r, name, client) }),
		ReadHeaderTimeout: time.Minute,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateHijacked {
				once.end()
			}
		},
	}
	_ = server.Serve(once) // it ends with the connection
}

func (h *HTTP) pass(w http.ResponseWriter, r *http.Request, name string, client net.Conn) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the request cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	call := Call{Client: name, Method: r.Method, Path: r.URL.Path, Header: r.Header, Body: string(body)}
	t := h.catch(call)
	if !t.keep(Before, h.doors, client) {
		panic(http.ErrAbortHandler)
	}
	got, err := h.ask(r, body)
	if err != nil {
		h.failed(t)
		panic(http.ErrAbortHandler) // as the server did
	}
	if !t.keep(After, h.doors, client) {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), got.header)
	w.WriteHeader(got.status)
	_, _ = w.Write(got.body)
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request on, also when its client is gone.
func (h *HTTP) ask(r *http.Request, body []byte) (reply, error) {
	url := *r.URL
	url.Scheme, url.Host = "http", h.upstream
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()
	req, err := http.NewRequestWithContext(ctx, r.Method, url.String(), bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header, req.Host = r.Header, r.Host
	resp, err := h.out.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return reply{resp.StatusCode, resp.Header, answer}, err
}

func (c Call) hit() Hit { return Hit{Client: c.Client, Partition: -1, What: c.Method + " " + c.Path} }

// changes is true for a call that makes a payment or a refund, of the kind that its path ends with.
func (c Call) changes(end string) bool {
	return c.Method == http.MethodPost && strings.HasSuffix(c.Path, end)
}

// oneConn is a listener with a single connection: its second Accept returns when that has ended.
type oneConn struct {
	conn net.Conn
	over chan struct{}
}

func (o *oneConn) Accept() (net.Conn, error) {
	if c := o.conn; c != nil {
		o.conn = nil
		return c, nil
	}
	<-o.over
	return nil, errors.New("the connection has ended")
}

func (o *oneConn) end()           { closeOnce(o.over) }
func (o *oneConn) Close() error   { return nil }
func (o *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
