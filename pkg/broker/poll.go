package broker

import (
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// poll is one Fetch request to one leader. It may outlive the call of Fetch that sent it.
type poll struct {
	leader    int32
	positions []Position // sorted
	wait      time.Duration
	shared    bool         // a later call may listen to it, and this one to an earlier call's: what it says may be older
	heard     chan<- *poll // gets the poll when it is answered, and has room for it; nil: nobody listens
	result    []Fetched    // one per position; set before heard
}

// failed is the result when all positions have the same error.
func (p *poll) failed(err error) []Fetched {
	result := make([]Fetched, len(p.positions))
	for i, from := range p.positions {
		result[i] = Fetched{TopicPartition: from.TopicPartition, Next: from.Offset, Err: err}
	}
	return result
}

// polls are the Fetch requests in flight. Each has a goroutine, which ends with its answer or with the client.
type polls struct {
	mu      sync.Mutex // guards the rest, and heard of each poll
	closed  bool
	running sync.WaitGroup
	long    map[int32][]*poll // shared ones that are not answered yet, by leader
}

// start runs a poll with send and lets heard know when it is answered; after close it is answered at once.
//
// A shared poll with the same positions, to which nobody listens any more, is listened to instead: start returns which
// one it is. Those that nobody listens to are few: each is answered within MaxWait, and one is left behind only when
// another leader brought records or other partitions are asked for.
func (ps *polls) start(p *poll, send func(*poll) []Fetched) *poll {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		p.result = p.failed(fault.New(fault.Unavailable, "the client is closed"))
		p.heard <- p
		return p
	}
	for _, other := range ps.long[p.leader] {
		if p.shared && other.heard == nil && slices.Equal(other.positions, p.positions) {
			other.heard = p.heard
			return other
		}
	}
	if p.shared {
		ps.long[p.leader] = append(ps.long[p.leader], p)
	}
	ps.running.Go(func() {
		p.result = send(p)
		ps.mu.Lock()
		defer ps.mu.Unlock()
		ps.long[p.leader] = slices.DeleteFunc(ps.long[p.leader], func(other *poll) bool { return other == p })
		if p.heard != nil {
			p.heard <- p
		}
	})
	return p
}

// leave stops listening.
func (ps *polls) leave(joined []*poll) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range joined {
		p.heard = nil
	}
}

// close answers every later poll with an error.
func (ps *polls) close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.closed = true
}
