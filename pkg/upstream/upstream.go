// Package upstream remembers how a server outside, such as a payment gateway or a mail server, takes this service: a
// refusal that is about the service and not about one request must be loud, and waits for a person; one that may be
// either is of the request only while the server takes others.
package upstream

import (
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

const (
	// lately is how recent a success must be to show that a refusal is not of everything.
	lately = time.Hour
	// logEvery bounds how often a refusal is logged: every request meets it.
	logEvery = 30 * time.Second
)

// Standing is how one server takes this service. It is safe for concurrent use.
type Standing struct {
	name string

	mu       sync.Mutex
	refusal  string // why it refuses whatever is asked; empty: it does not
	loggedAt time.Time
	tookAt   time.Time
}

// New returns the standing with a server of that name, of which nothing is known yet.
func New(name string) *Standing { return &Standing{name: name} }

// Ready returns nil, or why the server takes nothing from this service until somebody changes a setting here or there.
func (s *Standing) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal == "" {
		return nil
	}
	return fault.New(fault.Unavailable, "%s refuses this service: %s", s.name, s.refusal)
}

// Refused notes that the server refuses this service, whatever is asked, and logs it at most every 30 s. why is shown,
// and must hold nothing of a request.
func (s *Standing) Refused(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = why
	if time.Since(s.loggedAt) >= logEvery {
		s.loggedAt = time.Now()
		slog.Error("a server outside refuses this service: what needs it waits until a setting here or there is right",
			"server", s.name, "reason", why)
	}
}

// Accepted notes that the server has judged one request, so that it does not refuse the service.
func (s *Standing) Accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != "" {
		s.refusal = ""
		slog.Info("a server outside accepts this service again", "server", s.name)
	}
}

// Took notes that the server has done what was asked.
func (s *Standing) Took() {
	s.Accepted()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tookAt = time.Now()
}

// TakesOthers says that the server has done what somebody asked within the last hour.
func (s *Standing) TakesOthers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.tookAt) < lately
}
