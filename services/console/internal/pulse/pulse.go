// Package pulse watches the log from outside while somebody looks: how much flows, how far each consumer is, and whether what was
// promised holds. It asks Kafka, the gateway's ledger and the mailbox themselves and never the read model, which removes duplicates
// by design and so cannot be the judge.
//
// It judges by itself, and not by schemas/check: that keeps every event of an order (8 kB) and reads them all again with each
// new one, which is right for a run that ends. The pulse follows up to 50,000 orders beside whatever flows, and keeps a few
// numbers of each.
package pulse

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/choreography"
)

const (
	// interest is how long a look keeps the watch going.
	interest = 15 * time.Second
	// every is the least time between two samples, and between two reads of the log.
	every     = time.Second
	readEvery = 50 * time.Millisecond
	// firstWithin is how long a look waits for the first sample.
	firstWithin = 700 * time.Millisecond
	// kept is how many samples the history holds.
	kept = 60
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
	// Gateway and Mailbox are base URLs of the playground's simulator and mailbox; empty: they cannot be asked.
	Gateway, Mailbox string
	// Stopped says which services have no process that runs, and what became of it; nil: nobody knows.
	Stopped func(context.Context) map[string]string
}

// Pulse watches. Make it with New; Run must run.
type Pulse struct {
	cfg     Config
	journal *journal
	outside *outside
	odd     *exceptions
	flows   []flow // the last few, the oldest first
	history []Moment

	mu     sync.Mutex
	until  time.Time // when the last look is forgotten
	wake   chan struct{}
	sample Sample
	fresh  chan struct{} // closed with the next sample
	counts map[string]int64
}

// Moment is one second of the history.
type Moment struct {
	Orders, Open, Parked int
	P95                  time.Duration
}

// Sample is how things stand at a moment. It is never changed.
type Sample struct {
	// At is zero before the first.
	At time.Time
	// Err says why Kafka could not be asked; empty: it could. What it did not say is left out then.
	Err string
	// Read is how much of the log has been read, up to 1.
	Read float64
	// Orders a second, over the last five whole seconds.
	Orders float64
	// Settled in the last minute, and how long it took: p50, p95, p99.
	Settled int
	Settle  [3]time.Duration
	// Known is how many orders are judged.
	Known int
	// Open orders are in flight: without an outcome, and not parked. Parked ones have something that waits behind a dead letter.
	Open, Parked int
	// Duplicates in the last minute: copies of events in the log, or events that participants say they had answered before, whichever
	// are more.
	Duplicates int
	// Retries in the last minute, as participants tell of them; -1 when they do not.
	Retries int
	History []Moment // the oldest first
	// Topics has the events a second that are appended to each.
	Topics   map[string]float64
	Readers  map[string]Reader
	Verdicts []Verdict
}

// Reader is a consumer group.
type Reader struct {
	// Stopped says that nobody consumes, and why; empty: somebody does.
	Stopped string
	// Lag is how long ago the oldest record was appended that is not committed, Records how many there are.
	Lag     time.Duration
	Records int64
	// Topics has the records a second that are committed of each.
	Topics map[string]float64
}

// New returns a pulse that watches nothing yet.
func New(cfg Config) *Pulse {
	j := newJournal(cfg)
	return &Pulse{
		cfg: cfg, journal: j, outside: newOutside(cfg), odd: newExceptions(cfg, j),
		wake: make(chan struct{}, 1), fresh: make(chan struct{}), counts: map[string]int64{},
	}
}

// Look returns the newest sample, and a channel that is closed when there is a newer one. It keeps the watch going for a while; the
// first look waits a moment for the first sample.
func (p *Pulse) Look(ctx context.Context) (Sample, <-chan struct{}) {
	s, fresh := p.look()
	if !s.At.IsZero() {
		return s, fresh
	}
	t := time.NewTimer(firstWithin)
	defer t.Stop()
	select {
	case <-fresh:
	case <-t.C:
	case <-ctx.Done():
	}
	return p.look()
}

func (p *Pulse) look() (Sample, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.After(p.until) { // it slept: what it knew is old
		p.sample = Sample{}
	}
	p.until = now.Add(interest)
	select {
	case p.wake <- struct{}{}:
	default: // it is awake already
	}
	return p.sample, p.fresh
}

// Counts returns how many events of each type the watch has seen.
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
	p.flows, p.history = nil, nil
	p.journal.rested, p.odd.next = true, nil
	for ctx.Err() == nil && p.wanted() {
		if time.Since(p.last()) >= every {
			p.publish(p.take(ctx))
		}
		began, pause := time.Now(), readEvery
		if err := p.read(ctx); err != nil && ctx.Err() == nil {
			pause = every
			slog.WarnContext(ctx, "pulse is waiting for the log", "error", err)
		}
		_ = wait.Sleep(ctx, pause-time.Since(began)) // the loop looks at ctx itself
	}
}

// read reads what is new in the log, and counts it.
func (p *Pulse) read(ctx context.Context) error {
	seen, err := p.journal.read(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	for typ, n := range seen {
		p.counts[typ] += n
	}
	return err
}

func (p *Pulse) last() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sample.At
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
	s := Sample{Readers: map[string]Reader{}, Topics: map[string]float64{}}
	f, err := p.stand(ctx)
	for began := time.Now(); err == nil && !p.journal.passed(f.ends) && time.Since(began) < every; {
		err = p.read(ctx)
	}
	if err != nil {
		s.Err = err.Error()
	} else {
		p.flows = append(p.flows, f)
		p.flows = p.flows[max(0, len(p.flows)-flowsKept):]
		p.rates(&s, f)
	}
	s.Read = p.journal.share()
	if p.cfg.Stopped != nil {
		for service, why := range p.cfg.Stopped(ctx) {
			r := s.Readers[service]
			r.Stopped = why
			s.Readers[service] = r
		}
	}
	p.odd.read(ctx)
	s.At = time.Now()
	parked := p.journal.parked()
	orders := p.journal.count(f, parked)
	s.Known, s.Open, s.Parked = orders.placed, orders.open+len(orders.lost), len(parked)
	p.figures(&s)
	s.Verdicts = p.judge(ctx, f, err == nil, orders, parked)
	return s
}

// figures are those that the journal knows.
func (p *Pulse) figures(s *Sample) {
	j := p.journal
	s.Settled, s.Settle = j.settled(s.At)
	now := s.At.Unix()
	for sec := now - 5; sec < now; sec++ {
		s.Orders += float64(j.second(sec).orders) / 5
	}
	told := 0
	for sec := now - kept + 1; sec <= now; sec++ {
		s.Duplicates += j.second(sec).copies
		told += j.second(sec).deduplicated
		s.Retries += j.second(sec).retried
	}
	s.Duplicates = max(s.Duplicates, told)
	if p.odd.next == nil {
		s.Retries = -1
	}
	p.history = append(p.history, Moment{Orders: j.second(now - 1).orders, Open: s.Open, Parked: s.Parked, P95: s.Settle[1]})
	p.history = p.history[max(0, len(p.history)-kept):]
	s.History = append([]Moment(nil), p.history...)
}
