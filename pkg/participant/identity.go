package participant

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// A position means nothing without the log it is of: when a topic is deleted and created anew, the same number is another record, or
// none yet. So meta says beside the positions which logs they are of.

// prefixLog of the fields of meta that say, for each topic, which log the positions are of. They outlive a reset of the task, until
// positions in other logs are written.
const prefixLog = "log:"

// identifyEvery is how often an instance asks which logs the topics are: so long may one that is gone be believed in.
const identifyEvery = time.Second

// logs are the topics of a participant as they were at one moment.
type logs struct {
	ids     map[string]string // by topic
	missing string            // one that does not exist; empty: all do
}

// identify asks which logs some topics are. The number of partitions is part of it: keys are spread by that.
func (cfg Config) identify(ctx context.Context, topics []string) (logs, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ids, err := cfg.Log.Identities(ctx, topics)
	if err != nil {
		return logs{}, err
	}
	found := logs{ids: map[string]string{}}
	for _, topic := range topics {
		if id, ok := ids[topic]; ok {
			found.ids[topic] = id + "/" + strconv.Itoa(cfg.Partitions)
		} else {
			found.missing = topic
		}
	}
	return found, nil
}

// heardAndWritten are all topics in which a task has a position.
func (b *behavior) heardAndWritten() []string {
	return append([]string{b.facts, b.letters}, b.topics...)
}

// identify asks which logs tasks are about to be folded from: before anything of them is read.
func (c *cycle) identify(ctx context.Context) (ids map[string]string, err error) {
	c.seen.Store(nil)
	found, err := c.cfg.identify(ctx, c.b.heardAndWritten())
	if err == nil && found.missing != "" {
		err = fault.New(fault.Unavailable, "topic %s does not exist", found.missing)
	}
	return found.ids, err
}

// watchLogs looks, beside the cycle, whether the logs are still those that were folded.
func (c *cycle) watchLogs() {
	for sleep(c.ctx, identifyEvery) == nil {
		if found, err := c.cfg.identify(c.ctx, c.b.heardAndWritten()); err == nil { // an outage the client says itself
			c.seen.Store(&found)
		}
	}
}

// compareLogs gives up the tasks whose logs are gone.
func (c *cycle) compareLogs() {
	found := c.seen.Swap(nil)
	if found == nil {
		return
	}
	if c.missing != found.missing && found.missing != "" {
		c.watch.log.Error("a topic was deleted; waiting for it", "topic", found.missing)
	}
	c.missing = found.missing
	for _, t := range c.tasks {
		for topic, id := range found.ids {
			if t.logs[topic] != id {
				t.drop() // what takes over says it
			}
		}
	}
}

// lostReplaced is why a task is lost that was folded of logs that are gone, or are shorter than what was read of them.
const lostReplaced = "replaced"

// compareKept finds the topics whose positions, as kept, are of other logs than those that are there now, and remembers what must be
// written of those. Positions of which nothing is known were written by a release that did not tell: they are believed.
func (t *task) compareKept(kept, now map[string]string) {
	t.logs, t.replaced, t.identities = now, map[string]bool{}, nil
	for topic, id := range now {
		was, known := kept[prefixLog+topic]
		if was == id {
			continue
		}
		t.identities = append(t.identities, prefixLog+topic, id)
		if known {
			t.replaced[topic] = true
		}
	}
}

// start is where a task reads an input from. A log that took the place of another, or is shorter than what was read of it, is read from
// its start: what was committed says nothing about it.
func (c *cycle) start(t *task, s *source, starts, ends map[broker.TopicPartition]int64) error {
	s.committed = c.gen.Committed(s.TopicPartition)
	if at, ok := c.stored[s.TopicPartition]; ok { // committed since the generation began
		s.committed = at
	}
	if t.replaced[s.Topic] || s.committed > ends[s.TopicPartition] {
		s.committed = untold
		c.stored[s.TopicPartition] = untold
	}
	at, kept := t.stored[s.field]
	switch {
	case kept && at > ends[s.TopicPartition]:
		c.watch.shorter(s.TopicPartition, at, ends[s.TopicPartition])
		c.anew[t.partition] = true
		return errAnew
	case kept:
		s.cursor = at
	case s.committed >= 0:
		s.cursor = s.committed
	default:
		s.cursor = starts[s.TopicPartition]
	}
	// An emptied store knows nothing of what lies before the cursor, until retention takes it: then nobody does.
	s.since = s.cursor
	if at, kept := t.stored[s.sinceField]; kept {
		s.since = at
	}
	s.fromStart = s.since <= starts[s.TopicPartition]
	return nil
}

// present is the log that a door's topic is now, at most identifyEvery ago.
type present struct {
	topic string
	known atomic.Pointer[told]
	ask   chan struct{} // has a place for who asks
}

type told struct {
	log string
	at  time.Time
}

// log asks again when what is known is old; one request does, while the others believe what is known. So do all when the broker does not
// answer: then nothing can have come into another log.
func (p *present) log(ctx context.Context, cfg Config) (string, error) {
	known := p.known.Load()
	if known != nil && time.Since(known.at) < identifyEvery {
		return known.log, nil
	}
	select {
	case p.ask <- struct{}{}:
		defer func() { <-p.ask }()
	default:
		if known != nil {
			return known.log, nil
		}
		select {
		case p.ask <- struct{}{}:
			defer func() { <-p.ask }()
		case <-ctx.Done():
			return "", fault.Later(time.Second, "the log is being asked: %w", context.Cause(ctx))
		}
	}
	if now := p.known.Load(); now != known { // somebody was quicker
		return now.log, nil
	}
	found, err := cfg.identify(ctx, []string{p.topic})
	switch {
	case err == nil && found.missing != "":
		return "", fault.Later(time.Second, "topic %s does not exist", p.topic)
	case err == nil:
		known = &told{log: found.ids[p.topic]}
	case known == nil:
		return "", fault.Later(time.Second, "the log cannot be asked: %w", err)
	}
	p.known.Store(&told{log: known.log, at: time.Now()})
	return known.log, nil
}
