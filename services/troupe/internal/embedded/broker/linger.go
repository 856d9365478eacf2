package broker

import (
	"context"
	"net"
	"time"

	"github.com/troupe-dev/troupe/pkg/wait"
)

// lingerFor outlasts the rebalances of the playground's groups, which take 30 s at most (KAFKA_REBALANCE_TIMEOUT), and those
// of up to a minute. A longer one would keep as many more descriptors of clients that have gone.
const lingerFor = time.Minute

// lingering is a listener whose connections hide for a while that their client has gone. Kafka counts a member's session
// from the answer to its join; kfake does so only where the client is still there to get that answer, so that a member
// killed while it joins would keep its partitions for ever.
type lingering struct{ net.Listener }

func (l lingering) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	open, end := context.WithCancel(context.Background())
	return &lingeringConn{c, open, end}, nil
}

// lingeringConn tells the end of what it reads after lingerFor, or when the broker closes it.
type lingeringConn struct {
	net.Conn
	open context.Context
	end  context.CancelFunc
}

func (c *lingeringConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		_ = wait.Sleep(c.open, lingerFor) // either way it is over
	}
	return n, err
}

func (c *lingeringConn) Close() error {
	c.end()
	return c.Conn.Close()
}
