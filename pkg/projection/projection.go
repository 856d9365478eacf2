package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Projection runs a behaviour on one instance.
type Projection[D any] struct {
	b      Behavior[D]
	topics []string // that it reads
	cfg    Config
	base   *taskstore.Store // of the keys that are of no copy
	watch  *watch
	shadow bool // it folds shadows: no reader, and nobody's readiness, depends on it
	// beyondFor is how long a log may seem shorter than what was read of it (a new leader does not know its end at
	// once) before it counts as another log.
	beyondFor time.Duration
	lookEvery time.Duration // how often requests for a rebuild are looked for; 0: the default

	mu    sync.Mutex
	state map[string]error // why this instance is not ready, by what
}

// What readiness looks at.
const (
	partGroup = "group"
	partTasks = "tasks"
	partKafka = "kafka"
	partRedis = "redis"
)

// New returns a projection; it opens nothing.
func New[D any](b Behavior[D], cfg Config) *Projection[D] {
	cfg = cfg.withDefaults()
	return &Projection[D]{
		b: b, topics: b.topics(), cfg: cfg, base: taskstore.New(cfg.Redis, b.Name), watch: newWatch(b.Name),
		beyondFor: 5 * time.Second,
		state:     map[string]error{partGroup: errors.New("has not joined its consumer group yet")},
	}
}

// Run waits for the topics and takes part in the consumer group until ctx ends; then it finishes the step under
// way, commits and leaves. Outages are waited out. It returns an error only for what waiting cannot mend (a topic
// with the wrong number of partitions), of class Permanent.
func (p *Projection[D]) Run(ctx context.Context) error {
	defer p.watch.open(p.cfg.Partitions)()
	if err := p.awaitTopics(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	return p.cfg.Log.Join(ctx, p.b.Name, p.topics, p.cfg.Partitions, p.serve)
}

func (p *Projection[D]) awaitTopics(ctx context.Context) error {
	var topics []broker.Topic
	for i, t := range p.topics {
		topic := broker.Topic{Name: t, Partitions: p.cfg.Partitions, Retention: p.cfg.Retention}
		if p.b.isNote(i) {
			topic.Retention = 0 // kept for ever
		}
		topics = append(topics, topic)
	}
	wait := newBackoff()
	for ctx.Err() == nil {
		err := p.cfg.Log.Check(ctx, topics)
		if err == nil {
			err = event.CheckPlaces(ctx, p.cfg.Log, p.b.Topics, p.cfg.Partitions)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			p.set(partGroup, errors.New("is joining its consumer group"))
			return nil
		case fault.ClassOf(err) == fault.Permanent:
			return err
		}
		p.set(partGroup, err)
		wait.sleep(ctx)
	}
	return nil
}

// set records why a part is not ready; nil: it is. Of a row of outages the first is logged.
func (p *Projection[D]) set(part string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.state[part]
	if err == nil {
		delete(p.state, part)
		return
	}
	p.state[part] = err
	if fault.ClassOf(err) == fault.Unavailable && (was == nil || was.Error() != err.Error()) {
		p.watch.waiting(part, err)
	}
}

// Ready returns nil when this instance is in its group, owns every partition assigned to it and reaches Kafka and
// Redis; otherwise it says why not. A read model that is still being rebuilt is ready: what is known is answered.
// It does not block.
func (p *Projection[D]) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range []string{partGroup, partKafka, partRedis, partTasks} {
		if err := p.state[part]; err != nil {
			return fault.New(fault.Unavailable, "projection %s: %s: %w", p.b.Name, part, err)
		}
	}
	return nil
}

// backoff is exponential from 50 ms to 5 s.
type backoff struct{ next time.Duration }

const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 5 * time.Second
)

func newBackoff() *backoff { return &backoff{backoffMin} }

func (b *backoff) reset() { b.next = backoffMin }

// after returns how long to wait now, and makes the next wait longer.
func (b *backoff) after() time.Duration {
	d := b.next
	b.next = min(2*b.next, backoffMax)
	return d
}

func (b *backoff) sleep(ctx context.Context) {
	t := time.NewTimer(b.after())
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// errLeave ends a generation that is over.
var errLeave = fmt.Errorf("the generation is over")
