package participant

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// progressEvery is how often a long fold says how far it is.
const progressEvery = 2 * time.Second

// restoring brings tasks that were claimed to where their inputs can be read.
type restoring struct{ *cycle }

// run reads what the store has of the tasks, and folds their own topics to the ends these have now: first the facts,
// then the dead letters (one of an event that was answered since is ignored).
func (c restoring) run(ctx context.Context, tasks []*partition) error {
	began, total := time.Now(), 0
	for _, t := range tasks {
		if err := c.readStored(ctx, t); err != nil {
			return err
		}
	}
	for _, topic := range []string{c.b.facts, c.b.letters} {
		n, err := c.foldTopic(ctx, tasks, topic)
		total += n
		if err != nil {
			return err
		}
	}
	for _, t := range tasks {
		t.met = nil
	}
	if total > 0 {
		c.Logger.Info("folded", "partitions", len(tasks), "records", total,
			"took", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// readStored reads positions, the outbox, the timers, which orders are parked, and whether there are some of the
// generation before.
func (c restoring) readStored(ctx context.Context, t *partition) error {
	if t.Emptied {
		t.met = map[uint64]struct{}{}
	}
	for _, l := range t.own {
		l.expected = t.Stored[l.field]
	}
	if c.b.admits {
		facts := t.log(c.b.facts)
		if at, ok := t.Stored[task.PrefixInput+c.b.facts]; ok {
			facts.expected = min(facts.expected, at)
		}
	}
	t.folded = t.Stored[fieldFolded]
	list, err := c.Store.List(ctx, c.Store.Key(t.Number, "outbox"))
	if err != nil {
		return err
	}
	if err := t.outbox.Restore(list); err != nil {
		c.Logger.Error("redis holds an outbox that cannot be read", "partition", t.Number, "error", err)
		return c.Refold(t.Partition)
	}
	at, err := c.Store.Scores(ctx, c.Store.Key(t.Number, "timers"))
	if err != nil {
		return err
	}
	for id, ms := range at {
		t.timers.Restore(id, time.UnixMilli(int64(ms)))
	}
	parked, err := c.Store.Hashes(ctx, []string{c.Store.Key(t.Number, "parked")})
	if err != nil {
		return err
	}
	for id := range parked[0] {
		t.waits(id, !t.timers.Has(id))
	}
	newest := t.generation.Number // an earlier release, which may have owned it last, had both expire
	if _, err := c.Store.Keep(ctx, c.Store.Key(t.Number, orders.Key(newest))); err != nil {
		return err
	}
	t.before, err = c.Store.Keep(ctx, c.Store.Key(t.Number, orders.Key(newest-1)))
	return err
}

// foldTopic folds one topic of all tasks. While a chunk is folded the next one is read and the one before is written,
// so that a fold takes as long as the slowest of the three.
func (c restoring) foldTopic(ctx context.Context, tasks []*partition, topic string) (int, error) {
	byLog := map[broker.TopicPartition]*partition{}
	var logs []broker.TopicPartition
	for _, t := range tasks {
		byLog[t.log(topic).TopicPartition] = t
		logs = append(logs, t.log(topic).TopicPartition)
	}
	ends, err := c.cfg.Log.Ends(ctx, logs)
	if err != nil {
		return 0, err
	}
	starts, err := c.cfg.Log.Starts(ctx, logs)
	if err != nil {
		return 0, err
	}
	var left, total int64
	next := map[broker.TopicPartition]int64{}
	for tp, t := range byLog {
		l := t.log(topic)
		if l.expected > ends[tp] {
			return 0, c.Shorter(t.Partition, tp, l.expected, ends[tp])
		}
		l.expected = max(l.expected, starts[tp])
		next[tp] = l.expected
		left += ends[tp] - l.expected
	}
	said := time.Now()
	c.watch.fold(topic, left)
	defer c.watch.fold(topic, 0)
	var beside sync.WaitGroup
	defer beside.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	chunks := make(chan chunk)
	beside.Go(func() { c.readAhead(ctx, next, ends, chunks) })
	var w writing
	for f := range chunks {
		touched, n, err := c.foldChunk(ctx, byLog, topic, f)
		total += int64(n)
		if err = cmp.Or(c.written(&w), err); err != nil { // what was folded before stays folded
			return int(total), err
		}
		w = c.write(ctx, touched, &beside)
		c.watch.fold(topic, left-total)
		if time.Since(said) > progressEvery {
			said = time.Now()
			c.Logger.Info("folding", "topic", topic, "records", total, "of", left)
		}
	}
	return int(total), cmp.Or(c.written(&w), ctx.Err())
}

// chunk is what one fetch brought.
type chunk struct {
	got []broker.Fetched
	err error
}

// readAhead reads logs from some offsets to their ends, a fetch ahead of who takes what it brought.
func (c restoring) readAhead(ctx context.Context, next, ends map[broker.TopicPartition]int64, chunks chan<- chunk) {
	defer close(chunks)
	for {
		var from []broker.Position
		for tp, at := range next {
			if at < ends[tp] {
				from = append(from, broker.Position{TopicPartition: tp, Offset: at, MaxBytes: fetchBytes})
			}
		}
		if len(from) == 0 {
			return
		}
		got, err := c.cfg.Log.Fetch(ctx, from)
		for _, f := range got {
			next[f.TopicPartition] = f.Next
		}
		select {
		case chunks <- chunk{got: got, err: err}:
		case <-ctx.Done():
			return
		}
	}
}

// foldChunk folds what one fetch brought, in memory.
func (c restoring) foldChunk(
	ctx context.Context, byLog map[broker.TopicPartition]*partition, topic string, read chunk,
) (touched []*partition, n int, err error) {
	if read.err != nil {
		return nil, 0, read.err
	}
	var want []wanted
	for _, f := range read.got {
		w := wanted{t: byLog[f.TopicPartition]}
		for _, r := range f.Records {
			w.ids = append(w.ids, deadletter.OrderOf(r))
		}
		want = append(want, w)
	}
	if err := c.loadOrders(ctx, want); err != nil {
		return nil, 0, err
	}
	others := slices.ContainsFunc(read.got, func(f broker.Fetched) bool { return f.Err == nil && len(f.Records) > 0 })
	for _, f := range read.got {
		t := byLog[f.TopicPartition]
		l := t.log(topic)
		if fault.ClassOf(f.Err) == fault.Unavailable && others {
			continue // its leader is slow: it is asked again with the next chunk
		}
		if f.Err != nil { // out of range too: retention was faster, and trying again asks for the log's start
			return nil, n, f.Err
		}
		for _, r := range f.Records {
			n++
			if topic == c.b.letters {
				foldNote(t, r)
			} else if err := foldFact(t, r); err != nil {
				return nil, n, err
			}
		}
		l.expected = f.Next
		c.Count(recordsFolded, len(f.Records), telemetry.Topic.String(topic))
		touched = append(touched, t)
	}
	return touched, n, nil
}

// writing is what some tasks have folded, on its way to the store.
type writing struct {
	tasks []*partition
	done  chan error // nil: nothing is on its way
}

// write sends what the tasks have folded, beside who goes on folding.
func (c restoring) write(ctx context.Context, tasks []*partition, beside *sync.WaitGroup) writing {
	w := writing{tasks: c.Begin(tasks), done: make(chan error, 1)}
	beside.Go(func() { w.done <- c.Send(ctx, w.tasks) })
	return w
}

// written waits until the store has what is on its way, and follows it in memory.
func (c restoring) written(w *writing) error {
	if w.done == nil {
		return nil
	}
	if err := <-w.done; err != nil {
		return err
	}
	c.Sent(w.tasks)
	return nil
}
