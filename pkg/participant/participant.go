package participant

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Participant runs a behaviour on one instance.
type Participant[S any] struct {
	b       *behavior
	cfg     Config
	noStore atomic.Bool
	status  status
}

// New returns a participant; it opens nothing.
func New[S any](b Behavior[S], cfg Config) *Participant[S] {
	return &Participant[S]{b: b.erase(), cfg: cfg.withDefaults()}
}

func (cfg Config) withDefaults() Config {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&cfg.Retention, 30*24*time.Hour)
	set(&cfg.HoldLimit, 10*time.Minute)
	set(&cfg.CommitEvery, 200*time.Millisecond)
	set(&cfg.LeaveWithin, 5*time.Second)
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 256
	}
	return cfg
}

// Topics are those that bear the participant's name: it provisions them, and only it writes them, except that operators write
// requests to its redrive topic.
func (p *Participant[S]) Topics() []broker.Topic {
	return []broker.Topic{
		{Name: p.b.facts, Partitions: p.cfg.Partitions, Retention: p.cfg.Retention},
		{Name: p.b.letters, Partitions: p.cfg.Partitions, MaxBytes: deadletter.MaxBytes},
		{Name: deadletter.RedriveTopic(p.b.name), Partitions: p.cfg.Partitions, MaxBytes: deadletter.MaxBytes},
		{Name: activity.Topic(p.b.name), Partitions: p.cfg.Partitions, Retention: activity.Kept},
	}
}

// Run provisions the participant's topics, waits for those it hears, and takes part in its consumer group until ctx ends; then
// it leaves in order: no new work, finish, publish, commit. Outages are waited out. It returns an error only for what waiting
// cannot mend (a topic with the wrong number of partitions), of class Permanent.
func (p *Participant[S]) Run(ctx context.Context) error {
	w := newWatch(p.b.name, p.cfg.Partitions)
	defer w.close()
	if p.cfg.Activity {
		w.teller = newTeller(ctx, p.b.name, p.cfg.Log)
		defer w.teller.close()
	}
	if p.cfg.Clock != nil {
		heard := p.hearRedis(ctx) // before the first deadline
		var watching sync.WaitGroup
		defer watching.Wait()
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		watching.Go(func() { p.watchClock(ctx, heard) })
	}
	for tries := 1; ; tries++ {
		err := p.cfg.Log.Provision(ctx, p.Topics())
		if err == nil {
			facts := slices.DeleteFunc(slices.Clone(p.b.topics), func(topic string) bool { return topic == p.b.requests })
			err = event.CheckPlaces(ctx, p.cfg.Log, append(facts, p.b.facts), p.cfg.Partitions)
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		if fault.ClassOf(err) == fault.Permanent {
			return err
		}
		if tries == 1 {
			w.log.Warn("waiting for topics", "error", firstLine(err.Error()))
		}
		p.status.set(&report{why: []string{"waiting for topics: " + firstLine(err.Error())}})
		if err := sleep(ctx, min(backoff(tries), 2*time.Second)); err != nil {
			return nil
		}
	}
	p.status.set(nil)
	return p.cfg.Log.Join(ctx, p.b.name, p.b.topics, p.cfg.Partitions, func(ctx context.Context, g broker.Generation) error {
		c := &cycle{
			b: p.b, cfg: p.cfg, st: taskstore.New(p.cfg.Redis, p.b.name), gen: g,
			anew: map[int]bool{}, stored: map[broker.TopicPartition]int64{},
			fetched: make(chan fetchResult), asked: map[broker.TopicPartition]*source{}, appended: make(chan *appending), commits: make(chan commitResult),
			beside:  make(chan func()),
			noStore: &p.noStore, status: &p.status, watch: w,
		}
		c.crew = newCrew(p.cfg.Concurrency, &c.work, c.react)
		if len(c.partitions()) == 0 { // more instances than partitions: stand by
			p.status.set(&report{})
			<-ctx.Done()
			p.status.set(nil)
			return nil
		}
		defer w.left()
		return c.serve(ctx)
	})
}

// Ready returns nil when every task of this instance is taken over and none is stopped or mostly waits for something
// unavailable; otherwise it says why not. It does not block.
func (p *Participant[S]) Ready() error { return p.status.ready() }

// report is what the cycle last said of itself.
type report struct {
	leaving bool
	why     []string
}

type status struct {
	mu sync.Mutex
	r  *report // nil: not taking part
}

func (s *status) set(r *report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r = r
}

func (s *status) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.r == nil:
		return fault.New(fault.Unavailable, "waiting for the consumer group, its topics or Redis")
	case s.r.leaving:
		return fault.New(fault.Unavailable, "leaving")
	case len(s.r.why) > 0:
		return fault.New(fault.Unavailable, "%s", strings.Join(s.r.why, "; "))
	}
	return nil
}
