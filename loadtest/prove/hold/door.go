package hold

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	dialWithin = 2 * time.Second
	// shakenWithin bounds it with a TLS handshake: a broker that has just started, and is asked by all, takes seconds for each.
	shakenWithin = 15 * time.Second
	// drainWithin bounds the wait for the answers to what a dead caller had sent.
	drainWithin = 30 * time.Second
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

// open returns the address of a door, which is made when it is new.
func (d *doors) open(name string) (string, error) {
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
			if d.life.Err() != nil {
				return
			}
			select { // out of descriptors, say
			case <-d.life.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
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
	within, dialer := dialWithin, interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	}(&net.Dialer{})
	if d.tls != nil {
		within, dialer = shakenWithin, &tls.Dialer{Config: d.tls}
	}
	ctx, cancel := context.WithTimeout(d.life, within)
	defer cancel()
	c, err = dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(d.life, func() { _ = c.Close() })
	return c, func() { stop(); _ = c.Close() }, nil
}

// close waits until nothing runs any more.
func (d *doors) close() {
	d.end()
	d.mu.Lock()
	for _, ln := range d.byKey {
		_ = ln.Close()
	}
	d.mu.Unlock()
	d.work.Wait()
}

// finish tells the server that nothing comes any more, and leaves it a while to answer what it has.
func finish(server net.Conn) {
	_ = server.SetReadDeadline(time.Now().Add(drainWithin))
	if c, ok := server.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}
