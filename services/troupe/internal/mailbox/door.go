package mailbox

import (
	"net"
	"sync"

	"golang.org/x/net/netutil"
)

// door is the listener of the SMTP server. It knows the connections, so that an outage or a stop can end those that are idle,
// and during an outage it closes whoever comes.
type door struct {
	net.Listener
	control *control

	mu       sync.Mutex
	conns    map[*tracked]struct{}
	closing  bool
	stopping chan struct{} // closed by stop
}

// tracked is a connection with what the door must know of it.
type tracked struct {
	net.Conn
	door     *door
	stopping <-chan struct{}
	busy     bool // a mail is coming in or waits for its answer; guarded by door.mu
}

func newDoor(ln net.Listener, c *control) *door {
	return &door{
		Listener: netutil.LimitListener(ln, maxConnections), control: c,
		conns: map[*tracked]struct{}{}, stopping: make(chan struct{}),
	}
}

func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		t := &tracked{Conn: c, door: d, stopping: d.stopping}
		d.mu.Lock()
		turnAway := d.closing || d.control.now().Outage
		if !turnAway {
			d.conns[t] = struct{}{}
		}
		d.mu.Unlock()
		if !turnAway {
			return t, nil
		}
		_ = c.Close() // that is the outage
	}
}

// stop lets mails that are coming in finish and ends every other connection.
func (d *door) stop() {
	d.mu.Lock()
	d.closing = true
	d.mu.Unlock()
	close(d.stopping)
	d.closeIdle()
}

func (d *door) closeIdle() { d.close(func(t *tracked) bool { return !t.busy }) }
func (d *door) closeAll()  { d.close(func(*tracked) bool { return true }) }

func (d *door) close(which func(*tracked) bool) {
	d.mu.Lock()
	var doomed []net.Conn
	for t := range d.conns {
		if which(t) {
			doomed = append(doomed, t.Conn)
		}
	}
	d.mu.Unlock()
	for _, c := range doomed {
		_ = c.Close() // the server then finds it closed and calls tracked.Close
	}
}

// setBusy marks the time between a mail's first byte and the answer. A connection that has answered is closed when there is
// an outage or a stop.
func (t *tracked) setBusy(busy bool) {
	t.door.mu.Lock()
	t.busy = busy
	over := !busy && (t.door.closing || t.door.control.now().Outage)
	t.door.mu.Unlock()
	if over {
		_ = t.Conn.Close()
	}
}

func (t *tracked) Close() error {
	t.door.mu.Lock()
	delete(t.door.conns, t)
	t.door.mu.Unlock()
	return t.Conn.Close()
}
