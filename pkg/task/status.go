package task

import (
	"strings"
	"sync"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// status is what an instance last said of itself.
type status struct {
	mu      sync.Mutex
	taking  bool // part in the group
	leaving bool
	why     []string
}

// ready returns nil when nothing keeps the instance from its work; otherwise why not. It does not block.
func (s *status) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.leaving:
		return fault.New(fault.Unavailable, "leaving")
	case len(s.why) > 0:
		return fault.New(fault.Unavailable, "%s", strings.Join(s.why, "; "))
	case !s.taking:
		return fault.New(fault.Unavailable, "waiting for the consumer group, its topics or Redis")
	}
	return nil
}

// set says what keeps an instance that takes part from its work.
func (s *status) set(leaving bool, why ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking, s.leaving, s.why = true, leaving, why
}

// out says that the instance takes no part.
func (s *status) out() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking, s.leaving, s.why = false, false, nil
}
