package main

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/rig"
)

const (
	snapshotEvery = 3 * time.Second
	// youngest is the age that a snapshot must have, so that something has happened since.
	youngest = time.Second
)

// past keeps the last snapshot of Redis. Its zero value is ready.
type past struct {
	mu sync.Mutex
	at time.Time // of the snapshot; zero: there is none
}

// remember takes a snapshot now and then, until it is over.
func (p *past) remember(ctx context.Context, r *rig.Rig, over <-chan struct{}) {
	tick := time.NewTicker(snapshotEvery)
	defer tick.Stop()
	for {
		p.mu.Lock()
		if r.Snapshot(ctx) == nil { // Redis may be away
			p.at = time.Now()
		}
		p.mu.Unlock()
		select {
		case <-over:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// restore brings the last snapshot back, and says how old it was.
func (s *striker) restore(ctx context.Context) (age time.Duration, err error) {
	for {
		s.past.mu.Lock()
		if age = time.Since(s.past.at); !s.past.at.IsZero() && age >= youngest {
			err := s.Rig.Restore(ctx)
			s.past.mu.Unlock()
			if err == nil || !pause(ctx, 50*time.Millisecond) {
				return age, err
			}
			continue
		}
		s.past.mu.Unlock()
		if !pause(ctx, 50*time.Millisecond) {
			return 0, ctx.Err()
		}
	}
}
