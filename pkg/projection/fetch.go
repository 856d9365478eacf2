package projection

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// fetching reads logs beside the cycle, one request at a time.
type fetching struct {
	busy    bool
	wait    *backoff
	at      time.Time // not before
	notesAt time.Time // when notes were last looked for
	noNotes error     // why some could not be read then
}

type fetchResult struct {
	logs   []broker.Fetched
	owners map[int]string // who asked, by partition: what was read for an earlier claim is dropped
	notes  bool           // were asked for too
	err    error
}

// notesEvery is how often notes are looked for while events come: each log has its price in every fetch that asks
// for it. Where no events come, the long poll listens to notes as well.
const notesEvery = 250 * time.Millisecond

// fetch starts reading every log that has room, when nothing is being read.
func (c *cycle[D]) fetch(ctx context.Context, wg *sync.WaitGroup) {
	f := &c.fetching
	if f.busy || time.Now().Before(f.at) {
		return
	}
	from := c.positions(0, len(c.b.Topics), make([]broker.Position, 0, len(c.tasks)*len(c.topics)))
	asked := fetchResult{owners: make(map[int]string, len(c.tasks))}
	if asked.notes = len(from) == 0 || time.Since(f.notesAt) >= notesEvery; asked.notes {
		from = c.positions(len(c.b.Topics), len(c.topics), from)
		f.notesAt = time.Now()
	}
	if len(from) == 0 {
		return
	}
	for _, t := range c.tasks {
		asked.owners[t.partition] = t.owner
	}
	f.busy = true
	wg.Go(func() {
		ended := telemetry.Poll(ctx, c.b.Name)
		asked.logs, asked.err = c.cfg.Log.Fetch(ctx, from)
		ended(asked.logs, asked.err)
		c.news <- func() {
			f.busy = false
			c.fetched(ctx, asked)
		}
	})
}

// positions adds where to go on in some of the topics.
func (c *cycle[D]) positions(topic, end int, ps []broker.Position) []broker.Position {
	for ; topic < end; topic++ {
		for _, t := range c.tasks {
			if s := t.sources[topic]; t.taken && s.pending < maxPending {
				ps = append(ps, broker.Position{TopicPartition: s.TopicPartition, Offset: s.cursor, MaxBytes: fetchBytes})
			}
		}
	}
	return ps
}

// fetched queues what a fetch brought, says how the broker is, and waits a little when nothing came because of an
// error.
func (c *cycle[D]) fetched(ctx context.Context, got fetchResult) {
	f, records := &c.fetching, 0
	if got.notes {
		f.noNotes = nil
	}
	err := got.err
	for _, l := range got.logs {
		t, i := c.find(l.TopicPartition)
		if t == nil || !t.taken || t.owner != got.owners[l.Partition] {
			continue
		}
		switch failed := c.took(ctx, t, i, l); {
		case failed == nil && l.Err == nil:
			records += len(l.Records)
		case failed == nil:
		case c.b.isNote(i):
			f.noNotes = failed
		default:
			err = failed
		}
	}
	if ctx.Err() != nil {
		return
	}
	err = cmp.Or(err, f.noNotes)
	c.set(partKafka, err)
	switch {
	case err == nil:
		f.wait.reset()
	case records == 0:
		f.at = time.Now().Add(f.wait.after())
	}
}

// took queues what came of one log.
func (c *cycle[D]) took(ctx context.Context, t *task, i int, l broker.Fetched) error {
	if errors.Is(l.Err, broker.ErrOutOfRange) {
		return c.outOfRange(ctx, t, i)
	}
	if l.Err != nil {
		return l.Err
	}
	s := t.sources[i]
	s.beyond, s.end = time.Time{}, l.End
	t.add(i, l)
	if c.b.isNote(i) && l.Next < l.End {
		c.fetching.notesAt = time.Time{} // there are more
	}
	return nil
}

// outOfRange finds out why a log does not hold the cursor. What retention has taken is passed over and counted. A
// log that ends before the cursor is another log than the one that was folded: everything is folded again.
func (c *cycle[D]) outOfRange(ctx context.Context, t *task, i int) error {
	s := t.sources[i]
	logs := []broker.TopicPartition{s.TopicPartition}
	starts, err := c.cfg.Log.Starts(ctx, logs)
	if err != nil {
		return err
	}
	ends, err := c.cfg.Log.Ends(ctx, logs)
	if err != nil {
		return err
	}
	start, end := starts[s.TopicPartition], ends[s.TopicPartition]
	switch {
	case s.cursor < start:
		c.watch.skipped(s.TopicPartition, s.cursor, start)
		t.skip(i, start)
	case s.cursor > end && s.beyond.IsZero():
		s.beyond = time.Now()
		fallthrough
	case s.cursor > end && time.Since(s.beyond) < c.beyondFor:
		return fault.New(fault.Unavailable, "%s/%d ends at %d, before what was read of it, %d", s.Topic, s.Partition, end, s.cursor)
	case s.cursor > end:
		return c.startOver(ctx, t)
	}
	return nil
}
