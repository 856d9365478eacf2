package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Bounds of what Runs remember. longRun is how many must meet a refusal before it is taken for more than theirs.
const (
	maxReasons = 50
	maxMet     = 1000
	longRun    = 3
)

// Runs are the refusals since a server last did what somebody asked: by reason, who met them. Many in a row with the
// same reason are no chance. A run ends after an hour without another refusal. The zero value has none; it is safe for
// concurrent use.
type Runs struct {
	mu   sync.Mutex
	met  map[string]map[string]struct{}
	last time.Time
}

// Add notes that somebody met a refusal. Beyond 50 reasons, and 1,000 who met one, nothing is remembered.
func (r *Runs) Add(reason, who string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	r.last = time.Now()
	if r.met == nil {
		r.met = map[string]map[string]struct{}{}
	}
	if r.met[reason] == nil && len(r.met) < maxReasons {
		r.met[reason] = map[string]struct{}{}
	}
	if met := r.met[reason]; met != nil && len(met) < maxMet {
		met[who] = struct{}{}
	}
}

// forget ends runs that nobody has gone on with lately.
func (r *Runs) forget() {
	if time.Since(r.last) >= lately {
		clear(r.met)
	}
}

// End notes that the server has done what somebody asked.
func (r *Runs) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.met)
}

// Long says that several met a refusal.
func (r *Runs) Long(reason string) bool { return r.Met()[reason] >= longRun }

// Met returns how many met each refusal.
func (r *Runs) Met() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	met := make(map[string]int, len(r.met))
	for reason, who := range r.met {
		met[reason] = len(who)
	}
	return met
}

// Measure has a gauge say how many met each refusal, until the returned function is called.
func (r *Runs) Measure(gauge telemetry.Metric) (end func()) {
	return telemetry.Gauges(func(_ context.Context, observe telemetry.Observe) {
		met := r.Met()
		if len(met) == 0 {
			observe(gauge, 0) // seen to be none
		}
		for reason, who := range met {
			observe(gauge, float64(who), telemetry.Reason.String(reason))
		}
	}, gauge)
}
