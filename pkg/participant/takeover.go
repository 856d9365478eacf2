package participant

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/store"
)

// errContradicted: the log disagrees with what the store kept; fold from the start.
var errContradicted = errors.New("the log contradicts the store")

// progressEvery is how often a long fold says how far it is.
const progressEvery = 2 * time.Second

// takeOver makes this instance the one that decides for some partitions. Always the same steps: claim, fold the own topics to
// their ends, drain what the fold did not meet, consume. It returns the tasks, whole, or an error when the generation is over.
func (c *cycle) takeOver(ctx context.Context, partitions []int) error {
	var tasks []*task
	for _, p := range partitions {
		tasks = append(tasks, newTask(c.ctx, c.b, p))
	}
	for tries := 1; ; tries++ {
		err := c.claimAndFold(ctx, tasks)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fault.ClassOf(err) == fault.Conflict || fault.ClassOf(err) == fault.Permanent {
			return err
		}
		if tries == 1 {
			slog.Warn("taking over partitions, trying again", "participant", c.b.name, "error", firstLine(err.Error()))
		}
		if err := sleep(ctx, min(backoff(tries), 2*time.Second)); err != nil {
			return err
		}
		if err := c.gen.Holds(ctx); err != nil && fault.ClassOf(err) == fault.Conflict {
			return err
		}
		for i, t := range tasks {
			t.cancel()
			tasks[i] = newTask(c.ctx, c.b, t.partition)
		}
	}
	for _, t := range tasks {
		c.tasks[t.partition] = t
	}
	return nil
}

// claimAndFold runs the steps once for all tasks together.
func (c *cycle) claimAndFold(ctx context.Context, tasks []*task) error {
	began := time.Now()
	for _, t := range tasks {
		if err := c.claim(ctx, t, false); err != nil {
			return err
		}
	}
	n, err := c.fold(ctx, tasks)
	if errors.Is(err, errContradicted) {
		return err
	}
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if err := c.begin(ctx, t); err != nil {
			return err
		}
	}
	if n > 0 {
		slog.Info("folded", "participant", c.b.name, "partitions", len(tasks), "records", n, "took", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// claim writes a fresh owner and reads what the store keeps of the task. What was folded by other code, or not wholly, or
// contradicted by the log, is deleted first.
func (c *cycle) claim(ctx context.Context, t *task, anew bool) error {
	t.owner = uuid.NewString()
	m, err := c.st.Claim(ctx, t.partition, t.owner)
	if err != nil {
		return err
	}
	t.seq = m.Seq
	if anew || m.FoldVersion != c.b.foldVersion {
		v, err := c.st.Reset(ctx, t.partition, t.owner, c.b.foldVersion, "marker:")
		if err != nil {
			return err
		}
		if v != store.Applied {
			return fault.New(fault.Unavailable, "partition %d was claimed by another instance meanwhile", t.partition)
		}
		t.seq, m.Fields = 0, nil
	}
	t.stored = m.Fields
	if t.stored == nil {
		t.stored = map[string]string{}
	}
	for topic, l := range t.own {
		l.expected = number(t.stored["own:"+topic], 0)
	}
	if c.b.door {
		facts := t.own[c.b.facts]
		facts.expected = min(facts.expected, number(t.stored["in:"+c.b.facts], facts.expected))
	}
	t.folded = number(t.stored["folded"], 0)
	return c.readKept(ctx, t)
}

// readKept reads the outbox, the timers and which orders are parked.
func (c *cycle) readKept(ctx context.Context, t *task) error {
	list, err := c.st.List(ctx, c.st.Key(t.partition, "outbox"))
	if err != nil {
		return err
	}
	for _, body := range list {
		e := &entry{body: body}
		if err := json.Unmarshal([]byte(body), e); err != nil {
			return fault.New(fault.Permanent, "redis key %s holds an entry that is none: %w", c.st.Key(t.partition, "outbox"), err)
		}
		t.number++
		e.number = t.number
		t.outbox = append(t.outbox, e)
	}
	t.kept = t.number
	at, err := c.st.Scores(ctx, c.st.Key(t.partition, "timers"))
	if err != nil {
		return err
	}
	for id, ms := range at {
		t.timers.set(id, time.UnixMilli(int64(ms)))
	}
	parked, err := c.st.Hashes(ctx, []string{c.st.Key(t.partition, "parked")})
	if err != nil {
		return err
	}
	for id, n := range parked[0] {
		t.parked[id] = int(number(n, 0))
	}
	return nil
}

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
		t.folding = false
	}
	return total, nil
}

func (c *cycle) foldTopic(ctx context.Context, tasks []*task, topic string) (int, error) {
	byLog := map[broker.TopicPartition]*task{}
	var logs []broker.TopicPartition
	for _, t := range tasks {
		byLog[t.own[topic].TopicPartition] = t
		logs = append(logs, t.own[topic].TopicPartition)
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
		l := t.own[topic]
		if l.expected > ends[tp] {
			slog.Error("the log is shorter than it was: it lost records, or is another one; folding from its start", "participant", c.b.name,
				"topic", tp.Topic, "partition", tp.Partition, "offset", l.expected, "end", ends[tp])
			if err := c.claim(ctx, t, true); err != nil {
				return 0, err
			}
			if topic != c.b.facts {
				return 0, errContradicted
			}
		}
		l.expected = max(l.expected, starts[tp])
		left += ends[tp] - l.expected
	}
	said := time.Now()
	for {
		var from []broker.Position
		for tp, t := range byLog {
			if t.own[topic].expected < ends[tp] {
				from = append(from, broker.Position{TopicPartition: tp, Offset: t.own[topic].expected, MaxBytes: fetchBytes})
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
			slog.Info("folding", "participant", c.b.name, "topic", topic, "records", total, "of", left)
		}
	}
}

// foldChunk folds what one fetch brought and writes it.
func (c *cycle) foldChunk(ctx context.Context, byLog map[broker.TopicPartition]*task, topic string, got []broker.Fetched) (int, error) {
	n := 0
	want := map[*task][]string{}
	for _, f := range got {
		for _, r := range f.Records {
			t := byLog[f.TopicPartition]
			want[t] = append(want[t], orderOfRecord(r, letterID(r)))
		}
	}
	if err := c.loadOrders(ctx, want); err != nil {
		return 0, err
	}
	var touched []*task
	for _, f := range got {
		t := byLog[f.TopicPartition]
		l := t.own[topic]
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
				c.foldLetter(t, r)
			} else if err := c.foldFact(t, r); err != nil {
				if errors.Is(err, errContradicted) {
					if err := c.claim(ctx, t, true); err != nil {
						return n, err
					}
				}
				return n, err
			}
		}
		l.expected = f.Next
		c.watch.folded(topic, len(f.Records))
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
		own := t.undelivered(o.id, e.Sequence)
		if own == nil {
			return nil
		}
		if own.ID != e.ID {
			c.watch.contradicted(r)
			return errContradicted
		}
		own.acked, own.offset = true, r.Offset
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
	o.answered(e.CausationID)
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

// begin sets where a folded task consumes from: the position in the store when there is one, otherwise the committed offset,
// never the larger of both (a restored store may have lost what lies between).
func (c *cycle) begin(ctx context.Context, t *task) error {
	for _, s := range t.sources {
		s.committed = c.gen.Committed(s.TopicPartition)
		if v, ok := t.stored["in:"+s.Topic]; ok {
			s.cursor = number(v, 0)
			continue
		}
		s.cursor = max(0, s.committed)
		if s.committed < 0 {
			starts, err := c.cfg.Log.Starts(ctx, []broker.TopicPartition{s.TopicPartition})
			if err != nil {
				return err
			}
			s.cursor = starts[s.TopicPartition]
		}
	}
	t.compared = time.Now()
	return nil
}

// loadOrders brings orders into memory, all tasks in one round trip.
func (c *cycle) loadOrders(ctx context.Context, want map[*task][]string) error {
	type missing struct {
		t  *task
		id string
	}
	var ms []missing
	var keys []string
	asked := map[string]bool{}
	for t, ids := range want {
		for _, id := range ids {
			key := c.st.Key(t.partition, orderKey(id))
			if t.orders[id] == nil && !asked[key] {
				asked[key] = true
				ms = append(ms, missing{t, id})
				keys = append(keys, key)
			}
		}
	}
	hashes, err := c.st.Hashes(ctx, keys)
	if err != nil {
		return err
	}
	for i, m := range ms {
		o, err := loadOrder(m.id, hashes[i], c.b)
		if err != nil {
			slog.Error("redis holds an order that cannot be read; folding again", "participant", c.b.name, "error", err)
			return err
		}
		for _, e := range m.t.outbox {
			if e.Order == m.id {
				o.entry = e.number
			}
		}
		m.t.orders[m.id] = o
	}
	return nil
}

func number(s string, otherwise int64) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// sleep waits, or returns ctx's error when that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
