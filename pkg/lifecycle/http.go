package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

// Bounds of an HTTP server.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	shutdownWithin    = 10 * time.Second
)

// Listen opens a TCP address such as 127.0.0.1:8081; port 0 takes any free one. The error is Permanent and names the
// address.
func Listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fault.New(fault.Permanent, "listen on %q: %w", addr, err)
	}
	return ln, nil
}

// drainKey is what the channel of Draining is kept under in the context of a request.
type drainKey struct{}

// Draining returns a channel that is closed when the server of this request begins to stop. Handlers that stream
// without end return then, since the server waits for them. Nil, which blocks for ever, outside a server made by HTTP.
func Draining(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(drainKey{}).(chan struct{})
	return c
}

// HTTP serves h, behind a guard of that config, on ln until stopped; then it takes no new connection, lets the requests
// in flight end within 10 s, and cuts off what is left. It owns ln. A request has 30 s to arrive; there is no limit on
// the answer, since some answers stream.
func HTTP(name string, ln net.Listener, guard httpdoor.Config, h http.Handler) Part {
	return Part{Name: name, StopWithin: shutdownWithin + time.Second, Run: func(ctx context.Context) error {
		draining := make(chan struct{})
		requests, cut := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), drainKey{}, draining))
		defer cut()
		srv := &http.Server{
			Handler:           guard.Guard(h),
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			BaseContext:       func(net.Listener) context.Context { return requests },
			ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }() // received below in every case
		select {
		case err := <-served:
			_ = srv.Close() // Serve failed; what it had open goes with it
			return fmt.Errorf("serve %s: %w", ln.Addr(), err)
		case <-ctx.Done():
		}
		close(draining)
		deadline, done := context.WithTimeout(requests, shutdownWithin)
		defer done()
		err := srv.Shutdown(deadline)
		if err != nil {
			cut()
			err = errors.Join(fmt.Errorf("requests in flight cut off after %s: %w", shutdownWithin, err), srv.Close())
		}
		if closed := <-served; !errors.Is(closed, http.ErrServerClosed) {
			err = errors.Join(err, closed)
		}
		return err
	}}
}
