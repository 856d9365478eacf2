package mailbox

import (
	"net"
	"sync"

	"golang.org/x/net/netutil"
)

// listener listens for the SMTP server. It knows the connections, so that an outage or a stop can end those that are
// idle, and during an outage it closes whoever comes.
type listener struct {
	net.Listener
	control *control

	mu       sync.Mutex
	conns    map[*tracked]struct{}
	closing  bool
	stopping chan struct{} // closed by stop
}

// tracked is a connection with what the listener must know of it.
type tracked struct {
	net.Conn
	listener *listener
	busy     bool // a mail is coming in or waits for its answer; guarded by listener.mu
}

func newListener(ln net.Listener, c *control) *listener {
	return &listener{
		Listener: netutil.LimitListener(ln, maxConnections), control: c,
		conns: map[*tracked]struct{}{}, stopping: make(chan struct{}),
	}
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		t := &tracked{Conn: c, listener: l}
		l.mu.Lock()
		turnAway := l.closing || l.control.now().Outage
		if !turnAway {
			l.conns[t] = struct{}{}
		}
		l.mu.Unlock()
		if !turnAway {
			return t, nil
		}
		_ = c.Close() // that is the outage
	}
}

// stop lets mails that are coming in finish and ends every other connection.
func (l *listener) stop() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	close(l.stopping)
	l.closeIdle()
}

func (l *listener) closeIdle() { l.close(func(t *tracked) bool { return !t.busy }) }
func (l *listener) closeAll()  { l.close(func(*tracked) bool { return true }) }

func (l *listener) close(which func(*tracked) bool) {
	l.mu.Lock()
	var doomed []net.Conn
	for t := range l.conns {
		if which(t) {
			doomed = append(doomed, t.Conn)
		}
	}
	l.mu.Unlock()
	for _, c := range doomed {
		_ = c.Close() // the server then finds it closed and calls tracked.Close
	}
}

// setBusy marks the time between a mail's first byte and the answer. A connection that has answered is closed when
// there is an outage or a stop.
func (t *tracked) setBusy(busy bool) {
	t.listener.mu.Lock()
	t.busy = busy
	over := !busy && (t.listener.closing || t.listener.control.now().Outage)
	t.listener.mu.Unlock()
	if over {
		_ = t.Conn.Close()
	}
}

func (t *tracked) Close() error {
	t.listener.mu.Lock()
	delete(t.listener.conns, t)
	t.listener.mu.Unlock()
	return t.Conn.Close()
}
