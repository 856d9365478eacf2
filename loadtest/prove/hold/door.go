package hold

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/wait"
)

const (
	dialWithin = 2 * time.Second
	// shakenWithin bounds it with a TLS handshake: a broker that has just started, and is asked by all, takes seconds for each.
	shakenWithin = 15 * time.Second
	acceptAgain  = 50 * time.Millisecond
)

// doors listens on loopback, one free port for each name, and ends all connections when it is closed.
type doors struct {
	serve func(name string, client net.Conn)
	tls   *tls.Config // of both sides; nil: in the clear
	life  context.Context
	end   context.CancelFunc

	mu    sync.Mutex
	byKey map[string]net.Listener
	work  sync.WaitGroup
}

func newDoors(serve func(name string, client net.Conn)) *doors {
	d := &doors{serve: serve, byKey: map[string]net.Listener{}}
	d.life, d.end = context.WithCancel(context.Background())
	return d
}

// Addr is the address (host:port) of a door, which is made when its name is new. The name is the client's, by which its calls are
// known.
func (d *doors) Addr(name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.life.Err(); err != nil {
		return "", fmt.Errorf("open a door for %s: the proxy is closed", name)
	}
	if ln, ok := d.byKey[name]; ok {
		return ln.Addr().String(), nil
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open a door for %s: %w", name, err)
	}
	if d.tls != nil {
		ln = tls.NewListener(ln, d.tls)
	}
	d.byKey[name] = ln
	d.work.Go(func() { d.accept(name, ln) })
	return ln.Addr().String(), nil
}

func (d *doors) accept(name string, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			if wait.Sleep(d.life, acceptAgain) != nil {
				return
			}
			continue // it was out of descriptors, say
		}
		d.work.Go(func() {
			defer context.AfterFunc(d.life, func() { _ = c.Close() })()
			defer func() { _ = c.Close() }()
			d.serve(name, c)
		})
	}
}

// dial opens a connection that ends with the proxy; done forgets it.
func (d *doors) dial(addr string) (c net.Conn, done func(), err error) {
	within, dial := dialWithin, (&net.Dialer{}).DialContext
	if d.tls != nil {
		within, dial = shakenWithin, (&tls.Dialer{Config: d.tls}).DialContext
	}
	ctx, cancel := context.WithTimeout(d.life, within)
	defer cancel()
	c, err = dial(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(d.life, func() { _ = c.Close() })
	return c, func() { stop(); _ = c.Close() }, nil
}

// read reads one request, or one answer, whole.
type read func(*bufio.Reader) ([]byte, error)

// server is a connection to one.
type server struct {
	net.Conn
	requests *bufio.Reader // what the client sends
	answers  chan []byte   // in order; closed when none comes any more
}

// asking sends a request and returns its answer; false: none comes.
type asking func(request []byte) (answer []byte, ok bool)

// ask sends a request and returns the next answer; false: none comes.
func (s server) ask(request []byte) (answer []byte, ok bool) {
	_, _ = s.Write(request) // where that fails, no answer comes either
	answer, ok = <-s.answers
	return answer, ok
}

// stream passes everything on in both directions, from a request on that is answered by more than one answer, until either
// side is gone.
func (s server) stream(client net.Conn, request []byte) {
	_, _ = s.Write(request)
	var asking sync.WaitGroup
	asking.Go(func() {
		_, _ = s.requests.WriteTo(s.Conn)
		_ = s.Close()
	})
	for answer := range s.answers {
		_, _ = client.Write(answer)
	}
	asking.Wait()
}

// relay passes the requests of a client on, one after the other: the next is read when the one before was answered, as
// servers do with those of one connection. It writes what pass returns, also to a client that is gone, and ends when
// that is false.
func (d *doors) relay(
	client net.Conn, addr string, request, answer read, pass func(request []byte, s server) ([]byte, bool),
) {
	conn, done, err := d.dial(addr)
	if err != nil {
		return
	}
	s := server{conn, bufio.NewReaderSize(client, 64<<10), make(chan []byte)}
	go func() { // ends with the connection, below
		defer func() {
			close(s.answers)
			_ = client.SetReadDeadline(time.Now()) // it is to see at once that the server is gone
		}()
		for in := bufio.NewReaderSize(conn, 64<<10); ; {
			frame, err := answer(in)
			if err != nil {
				return
			}
			s.answers <- frame
		}
	}()
	for ok := true; ok; {
		asked, err := request(s.requests)
		if err != nil {
			break
		}
		var said []byte
		if said, ok = pass(asked, s); ok {
			_, _ = client.Write(said)
		}
	}
	done()
	for range s.answers { // nobody waits for them
	}
}

// Close ends all connections and waits for them. What is held is dropped.
func (d *doors) Close() {
	d.end()
	d.mu.Lock()
	for _, ln := range d.byKey {
		_ = ln.Close()
	}
	d.mu.Unlock()
	d.work.Wait()
}
