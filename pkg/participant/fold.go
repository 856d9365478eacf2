package participant

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/store"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// progressEvery is how often a long fold says how far it is.
const progressEvery = 2 * time.Second

// fold reads the own topics of all tasks to the ends they have now: first the facts, then the letters (a letter of an event
// that was answered since is ignored). It returns how many records it read.
func (c *cycle) fold(ctx context.Context, tasks []*task) (int, error) {
	total := 0
	for _, t := range tasks {
		t.folding = true
	}
	for _, topic := range []string{c.b.facts, c.b.letters} {
		n, err := c.foldTopic(ctx, tasks, topic)
		total += n
		if err != nil {
			return total, err
		}
	}
	for _, t := range tasks {
		t.folding, t.met = false, nil
	}
	return total, nil
}

func (c *cycle) foldTopic(ctx context.Context, tasks []*task, topic string) (int, error) {
	byLog := map[broker.TopicPartition]*task{}
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
	for tp, t := range byLog {
		l := t.log(topic)
		if l.expected > ends[tp] {
			c.watch.log.Error("the log is shorter than it was: it lost records, or is another one; folding from its start",
				"topic", tp.Topic, "partition", tp.Partition, "offset", l.expected, "end", ends[tp])
			c.anew[t.partition] = true
			return 0, errAnew
		}
		l.expected = max(l.expected, starts[tp])
		left += ends[tp] - l.expected
	}
	said := time.Now()
	defer c.watch.fold(topic, 0)
	for {
		c.watch.fold(topic, left-total)
		var from []broker.Position
		for tp, t := range byLog {
			if t.log(topic).expected < ends[tp] {
				from = append(from, broker.Position{TopicPartition: tp, Offset: t.log(topic).expected, MaxBytes: fetchBytes})
			}
		}
		if len(from) == 0 {
			return int(total), nil
		}
		got, err := c.cfg.Log.Fetch(ctx, from)
		if err != nil {
			return int(total), err
		}
		n, err := c.foldChunk(ctx, byLog, topic, got)
		total += int64(n)
		if err != nil {
			return int(total), err
		}
		if time.Since(said) > progressEvery {
			said = time.Now()
			c.watch.log.Info("folding", "topic", topic, "records", total, "of", left)
		}
	}
}

// foldChunk folds what one fetch brought and writes it.
func (c *cycle) foldChunk(ctx context.Context, byLog map[broker.TopicPartition]*task, topic string, got []broker.Fetched) (int, error) {
	n := 0
	var want []wanted
	for _, f := range got {
		w := wanted{t: byLog[f.TopicPartition]}
		for _, r := range f.Records {
			w.ids = append(w.ids, deadletter.OrderOf(r))
		}
		want = append(want, w)
	}
	if err := c.loadOrders(ctx, want); err != nil {
		return 0, err
	}
	var touched []*task
	for _, f := range got {
		t := byLog[f.TopicPartition]
		l := t.log(topic)
		if f.Err != nil {
			if errors.Is(f.Err, broker.ErrOutOfRange) && f.Start > l.expected {
				l.expected = f.Start // retention was faster
				continue
			}
			return n, f.Err
		}
		for _, r := range f.Records {
			n++
			if topic == c.b.letters {
				c.foldNote(t, r)
			} else if err := c.foldFact(t, r); err != nil {
				return n, err
			}
		}
		l.expected = f.Next
		c.watch.count(recordsFolded, len(f.Records), telemetry.Topic.String(topic))
		touched = append(touched, t)
	}
	return n, c.applyNow(ctx, touched)
}

// foldFact folds one record of the own topic: a fact evolves the state only when it is the next of its order, and marks its cause
// as answered; it answers nothing itself.
func (c *cycle) foldFact(t *task, r broker.Record) error {
	e, err := event.FromRecord(r)
	if err != nil {
		c.watch.unreadable(r)
		return nil
	}
	if e.Sequence == 0 { // a request: input, not state
		return nil
	}
	o := t.orders[e.Subject]
	if o.own.seq > 0 && e.Sequence <= o.own.seq {
		switch own := t.undelivered(o.id, e.Sequence); {
		case own == nil:
		case own.contradicts(e):
			c.watch.contradicted(r)
			c.anew[t.partition] = true
			return errAnew
		case own.ID == e.ID:
			own.acked, own.offset = true, r.Offset
		default:
			c.watch.voidFolded(r)
		}
		return nil
	}
	if !o.follows(e) {
		c.watch.voidFolded(r)
		return nil
	}
	m, err := event.Decode(e)
	if err != nil {
		c.watch.unreadable(r)
		m = event.Message{Event: e}
	}
	if err := o.evolve(c.b, m, r.Offset); err != nil {
		return err
	}
	c.answeredInLog(t, o, r, e.CausationID)
	t.arm(c.b, o)
	t.touch(o)
	return nil
}

// applyNow writes what the tasks have folded, and waits until the store has it.
func (c *cycle) applyNow(ctx context.Context, tasks []*task) error {
	for _, t := range tasks {
		if t.resend = c.change(t); len(t.resend.Ops) == 0 {
			t.resend = nil
		}
	}
	for tries := 1; ; tries++ {
		var changes []store.Change
		var sent []*task
		for _, t := range tasks {
			if t.resend != nil {
				changes, sent = append(changes, t.resend.Change), append(sent, t)
			}
		}
		if len(changes) == 0 {
			return nil
		}
		for i, out := range c.st.Apply(ctx, changes) {
			switch {
			case out.Err != nil:
				sent[i].resend.Retry = true
			case out.Verdict != store.Applied:
				return fault.New(fault.Unavailable, "redis %s partition %d while it was folded", out.Verdict, sent[i].partition)
			default:
				c.applied(sent[i])
			}
		}
		if tries > 1 {
			if err := sleep(ctx, backoff(tries)); err != nil {
				return err
			}
		}
	}
}
