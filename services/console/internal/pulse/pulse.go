// Package pulse watches the log from outside while somebody looks: how much flows, how far each consumer is, and whether what was
// promised holds. It asks Kafka, the gateway's ledger and the mailbox themselves and never the read model, which removes duplicates
// by design and so cannot be the judge.
//
// It judges by itself, and not by schemas/check: that keeps every event of an order (8 kB) and reads them all again with each
// new one, which is right for a run that ends. The pulse follows up to 50,000 orders beside whatever flows, and keeps a few
// numbers of each.
//
//   - pulse.go: the watch, and the sample that it takes about once a second
//   - flow.go: where everybody stands, by Kafka
//   - judge.go: what must survive everything
//   - outside.go: what the gateway and the mailbox say
//   - journal.go, orders.go: what the log says
package pulse

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/console/internal/playground"
)

const (
	// interest is how long a look keeps the watch going.
	interest = 15 * time.Second
	// every is the least time between two samples, and between two reads of the log.
	every     = time.Second
	readEvery = 50 * time.Millisecond
	// firstWithin is how long a look waits for the first sample.
	firstWithin = 700 * time.Millisecond
)

// Groups looks at consumer groups; broker.Client does.
type Groups interface {
	Group(ctx context.Context, group string, logs []broker.TopicPartition) (broker.Standing, error)
}

// Config of a Pulse.
type Config struct {
	Log          broker.Log
	Groups       Groups
	Choreography *choreography.Choreography
	Partitions   int
	// Playground whose gateway and mailbox are held against the log, and which knows what has no process.
	Playground playground.Playground
}

// Pulse watches. Make it with New; Run must run.
type Pulse struct {
	cfg     Config
	outside *outside
	journal *journal // nil: it is to be begun
	flows   []flow   // the last few, the oldest first

	mu     sync.Mutex
	until  time.Time // when the last look is forgotten
	wake   chan struct{}
	sample Sample
	fresh  chan struct{} // closed with the next sample
	counts map[string]int64
}

// Sample is the schema Pulse of the contract: how things stand at a moment. It is never changed.
type Sample struct {
	// At is zero before the first.
	At time.Time `json:"at"`
	// Error says why Kafka could not be asked; empty: it could. What it did not say is left out then.
	Error string `json:"error,omitempty"`
	// OrdersPerSecond is over the last five seconds.
	OrdersPerSecond float64 `json:"orders_per_second"`
	// Settle is how long those orders took that settled last; nil: none has.
	Settle *Settle `json:"settle_ms,omitempty"`
	// Orders is how many are judged.
	Orders int `json:"orders"`
	// InFlight are without an outcome, and not parked. Parked ones have something that waits behind a dead letter.
	InFlight int `json:"in_flight"`
	Parked   int `json:"parked"`
	// Duplicates are copies in the log, among what was read of it.
	Duplicates int `json:"duplicates"`
	// Topics has the events a second that are appended to each.
	Topics     map[string]float64 `json:"topics_per_second"`
	Groups     map[string]*Group  `json:"groups"`
	Invariants []Verdict          `json:"invariants"`
}

// Settle has milliseconds.
type Settle struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
}

// Group is the schema PulseGroup of the contract: a consumer group.
type Group struct {
	// Stopped says that nobody consumes, and why; empty: somebody does.
	Stopped string `json:"stopped,omitempty"`
	// LagMS is how long ago the oldest record was appended that is not committed, LagRecords how many there are.
	LagMS      int64 `json:"lag_ms"`
	LagRecords int64 `json:"lag_records"`
}

// New returns a pulse that watches nothing yet.
func New(cfg Config) *Pulse {
	return &Pulse{
		cfg: cfg, outside: newOutside(cfg.Playground), wake: make(chan struct{}, 1), fresh: make(chan struct{}), counts: map[string]int64{},
	}
}

// Look returns the newest sample, and a channel that is closed when there is a newer one. It keeps the watch going for a while; the
// first look waits a moment for the first sample.
func (p *Pulse) Look(ctx context.Context) (Sample, <-chan struct{}) {
	s, fresh := p.look()
	if !s.At.IsZero() {
		return s, fresh
	}
	ctx, end := context.WithTimeout(ctx, firstWithin)
	defer end()
	select {
	case <-fresh:
	case <-ctx.Done():
	}
	return p.look()
}

func (p *Pulse) look() (Sample, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.After(p.until) { // it slept: what it knew is old
		p.sample = Sample{Invariants: unchecked("not looked at yet")}
	}
	p.until = now.Add(interest)
	select {
	case p.wake <- struct{}{}:
	default: // it is awake already
	}
	return p.sample, p.fresh
}

// Counts returns how many events of each type were appended while the watch went on.
func (p *Pulse) Counts() map[string]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Run watches while somebody looks, until ctx ends.
func (p *Pulse) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
			p.watch(ctx)
		}
	}
}

func (p *Pulse) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until)
}

func (p *Pulse) watch(ctx context.Context) {
	p.flows, p.journal = nil, nil
	var last time.Time
	for ctx.Err() == nil && p.wanted() {
		if time.Since(last) >= every {
			s := p.take(ctx)
			last = s.At
			p.publish(s)
		}
		began, pause := time.Now(), readEvery
		if err := p.read(ctx); err != nil && ctx.Err() == nil {
			pause = every
			slog.WarnContext(ctx, "pulse is waiting for the log", "error", err)
		}
		_ = wait.Sleep(ctx, pause-time.Since(began)) // the loop looks at ctx itself
	}
}

// read reads what is new in the log, and counts it. What the log does not hold any more is begun anew the next time.
func (p *Pulse) read(ctx context.Context) (err error) {
	if p.journal == nil {
		if p.journal, err = begin(ctx, p.cfg); err != nil {
			return err
		}
	}
	seen, err := p.journal.read(ctx)
	if errors.Is(err, broker.ErrOutOfRange) {
		p.journal = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for typ, n := range seen {
		p.counts[typ] += n
	}
	return err
}

func (p *Pulse) publish(s Sample) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sample = s
	close(p.fresh)
	p.fresh = make(chan struct{})
}

// take makes a sample.
func (p *Pulse) take(ctx context.Context) Sample {
	s := Sample{Topics: map[string]float64{}, Groups: map[string]*Group{}}
	f, err := p.stand(ctx)
	for began := time.Now(); err == nil && !p.journal.passed(f.ends) && time.Since(began) < every; {
		err = p.read(ctx)
	}
	if err != nil {
		s.Error, s.Invariants = err.Error(), unchecked("Kafka does not answer")
	} else {
		p.flows = append(p.flows, f)
		p.flows = p.flows[max(0, len(p.flows)-flowsKept):]
		p.rates(&s, f)
		parked, givenUp := p.journal.apart()
		n := p.journal.count(f, parked, givenUp)
		s.OrdersPerSecond, s.Settle = float64(n.recent)/recent.Seconds(), p.journal.settle()
		s.Orders, s.InFlight, s.Parked, s.Duplicates = n.placed, n.open+len(n.lost), len(parked), p.journal.copies
		s.Invariants = p.judge(ctx, f, n, parked)
	}
	for service, why := range p.cfg.Playground.Stopped(ctx) {
		if s.Groups[service] == nil {
			s.Groups[service] = &Group{}
		}
		s.Groups[service].Stopped = why
	}
	s.At = time.Now()
	return s
}
