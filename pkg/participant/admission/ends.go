package admission

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// askWithin bounds one request for an end.
const askWithin = 2 * time.Second

// ends asks a topic for its ends, each partition once at a time: who comes while it is being asked shares the next
// request, since this one may have been answered before they came. A request is nobody's own. One that its caller gave
// up would close its connection, and with TLS and a login the next ones would first have to make another.
type ends struct {
	log   broker.Log
	topic string

	mu      sync.Mutex
	next    map[int]*end // by partition: that of the request after the one under way
	running map[int]bool // by partition
}

type end struct {
	offset int64
	err    error
	known  chan struct{}
}

// of returns where a partition ends, or ended at some time since the call.
func (e *ends) of(ctx context.Context, p int) (int64, error) {
	e.mu.Lock()
	wanted := e.next[p]
	if wanted == nil {
		wanted = &end{known: make(chan struct{})}
		e.next[p] = wanted
	}
	if !e.running[p] {
		e.running[p] = true
		go e.run(p) // ends when nobody waits; its requests are bounded
	}
	e.mu.Unlock()
	select {
	case <-wanted.known:
		return wanted.offset, wanted.err
	case <-ctx.Done():
		return 0, fault.New(fault.Unavailable, "the broker did not answer in time: %w", ctx.Err())
	}
}

func (e *ends) run(p int) {
	tp := broker.TopicPartition{Topic: e.topic, Partition: p}
	for {
		e.mu.Lock()
		wanted := e.next[p]
		delete(e.next, p)
		if wanted == nil {
			delete(e.running, p)
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), askWithin)
		found, err := e.log.Ends(ctx, []broker.TopicPartition{tp})
		cancel()
		wanted.offset, wanted.err = found[tp], err
		close(wanted.known)
	}
}
