package participant

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// errAnew: what the store keeps is not worth keeping (the log contradicts it, or it cannot be read): claim again, fold from the
// start.
var errAnew = errors.New("the store is folded anew")

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
		if fault.ClassOf(err) == fault.Conflict {
			return err
		}
		if tries == 1 {
			c.watch.log.Warn("taking over partitions, trying again", "error", firstLine(err.Error()))
		}
		c.status.set(&report{why: []string{"partitions cannot be taken over: " + firstLine(err.Error())}})
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
		c.put(t)
		delete(c.anew, t.partition)
	}
	return nil
}

// claimAndFold runs the steps once for all tasks together.
func (c *cycle) claimAndFold(ctx context.Context, tasks []*task) error {
	began := time.Now()
	logs, err := c.identify(ctx)
	if err != nil {
		return err
	}
	if err := c.claim(ctx, tasks, logs); err != nil {
		return err
	}
	for _, t := range tasks {
		if err := c.readKept(ctx, t); err != nil {
			return err
		}
	}
	n, err := c.fold(ctx, tasks)
	if err != nil {
		return err
	}
	if err := c.begin(ctx, tasks); err != nil {
		return err
	}
	if n > 0 {
		c.watch.log.Info("folded", "partitions", len(tasks), "records", n, "took", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// claim writes a fresh owner and reads what the store keeps of each task. What was folded by other code, or not wholly, or of
// another log, or contradicted by the log, is deleted first.
func (c *cycle) claim(ctx context.Context, tasks []*task, logs map[string]string) error {
	empty, dead := map[int]string{}, map[int]string{} // to be reset; dead: with what a door remembers, since it is in a log that is gone
	for _, t := range tasks {
		t.owner = uuid.NewString()
		m, err := c.st.Claim(ctx, t.partition, t.owner)
		if err != nil {
			return err
		}
		t.seq, t.stored = m.Seq, map[string]int64{}
		t.compareKept(m.Fields, logs)
		for field, at := range m.Fields {
			t.stored[field] = number(at, 0)
		}
		t.generation = max(t.stored[fieldGeneration], c.cfg.generation(time.Now()))
		whole := !c.anew[t.partition] && m.FoldVersion == c.b.foldVersion && len(t.replaced) == 0
		if whole {
			if whole, err = c.whole(ctx, t); err != nil {
				return err
			}
		}
		if !whole {
			t.met, t.stored = map[uint64]struct{}{}, map[string]int64{}
			if t.replaced[c.b.facts] {
				dead[t.partition] = t.owner
			} else {
				empty[t.partition] = t.owner
			}
		}
	}
	c.watch.replaced(tasks)
	if err := c.reset(ctx, tasks, empty, "marker:"); err != nil {
		return err
	}
	if err := c.reset(ctx, tasks, dead); err != nil {
		return err
	}
	for _, t := range tasks {
		for _, l := range t.own {
			l.expected = t.stored[l.field]
		}
		if c.b.door {
			facts := t.log(c.b.facts)
			if at, ok := t.stored[prefixIn+c.b.facts]; ok {
				facts.expected = min(facts.expected, at)
			}
		}
		t.folded = t.stored[fieldFolded]
		c.watch.count(tasksClaimed, 1)
	}
	return nil
}

// reset deletes what the store keeps of some of the tasks, by partition and owner, but for the keys that begin with one of keep.
func (c *cycle) reset(ctx context.Context, tasks []*task, owners map[int]string, keep ...string) error {
	if len(owners) == 0 {
		return nil
	}
	seqs, v, err := c.st.Reset(ctx, owners, c.b.foldVersion, keep...)
	if err != nil {
		return err
	}
	if v != taskstore.Applied {
		return fault.New(fault.Unavailable, "a partition was claimed by another instance meanwhile")
	}
	for _, t := range tasks {
		if seq, emptied := seqs[t.partition]; emptied {
			t.seq = seq
		}
	}
	return nil
}

// readKept reads the outbox, the timers, which orders are parked, and whether there are some of the generation before.
func (c *cycle) readKept(ctx context.Context, t *task) error {
	list, err := c.st.List(ctx, c.st.Key(t.partition, "outbox"))
	if err != nil {
		return err
	}
	for _, body := range list {
		e, err := decodeEntry(body)
		if err != nil {
			return fault.New(fault.Permanent, "redis key %s holds an entry that is none: %w", c.st.Key(t.partition, "outbox"), err)
		}
		t.remember(e)
	}
	t.kept, t.inherited = t.number, t.number
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
	for id := range parked[0] {
		_, retried := t.timers.at[id]
		t.waits(id, !retried)
	}
	t.before, err = c.st.Exists(ctx, c.st.Key(t.partition, ordersKey(t.generation-1)))
	return err
}

// begin sets where folded tasks consume from: the position in the store when there is one, otherwise the committed offset,
// never the larger of both (a restored store may have lost what lies between). The first cycle writes that at once: a door waits for it.
func (c *cycle) begin(ctx context.Context, tasks []*task) error {
	var inputs []broker.TopicPartition
	for _, t := range tasks {
		for _, s := range t.sources {
			inputs = append(inputs, s.TopicPartition)
		}
	}
	starts, err := c.cfg.Log.Starts(ctx, inputs)
	if err != nil {
		return err
	}
	ends, err := c.cfg.Log.Ends(ctx, inputs)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		for _, s := range t.sources {
			if err := c.start(t, s, starts, ends); err != nil {
				return err
			}
		}
	}
	return nil
}

// wanted are orders of a task that are needed in memory.
type wanted struct {
	t   *task
	ids []string
}

// loadOrders brings orders into memory, all tasks in one round trip; when that fails, none of those that were not there.
func (c *cycle) loadOrders(ctx context.Context, want []wanted) (err error) {
	var missing []wanted
	var asked []taskstore.Asked
	for _, w := range want {
		w.ids = w.t.missing(w.ids, c.b)
		if len(w.ids) == 0 {
			continue
		}
		for _, key := range w.t.places() {
			asked = append(asked, taskstore.Asked{Key: c.st.Key(w.t.partition, key), Fields: w.ids})
		}
		missing = append(missing, w)
	}
	defer func() {
		for _, w := range missing {
			for _, id := range w.ids {
				if err != nil {
					delete(w.t.orders, id)
				}
			}
		}
	}()
	found, err := c.st.Fields(ctx, asked)
	if err != nil {
		return err
	}
	for _, w := range missing {
		places := len(w.t.places())
		for i, id := range w.ids {
			text := ""
			for _, texts := range found[:places] {
				text = cmp.Or(text, texts[i])
			}
			if err := c.remember(w.t, w.t.orders[id], text); err != nil {
				return err
			}
		}
		found = found[places:]
	}
	return nil
}

// missing are those of some orders that were not in memory and may be in the store: as yet, they look new.
func (t *task) missing(ids []string, b *behavior) []string {
	var missing []string // not in the place of ids, which are the caller's
	for _, id := range ids {
		if t.orders[id] != nil {
			continue
		}
		id = strings.Clone(id) // what it came with need not be kept
		t.orders[id] = newOrder(id, b.zero())
		if !t.firstMet(id) {
			missing = append(missing, id)
		}
	}
	return missing
}

// places are where an order of this task may be kept; the first that has it is right.
func (t *task) places() []string {
	places := []string{ordersKey(t.generation)}
	if t.before {
		places = append(places, ordersKey(t.generation-1))
	}
	if len(t.parked) > 0 {
		places = slices.Insert(places, 0, keyParkedOrders)
	}
	return places
}

// remember takes over what the store keeps of an order.
func (c *cycle) remember(t *task, o *order, text string) error {
	if err := o.readText(c.b, text); err != nil {
		c.watch.log.Error("redis holds an order that cannot be read", "partition", t.partition, "error", err)
		c.anew[t.partition] = true
		return errAnew
	}
	o.kept = len(o.parked) > 0
	if pending := t.pending[o.id]; len(pending) > 0 {
		o.entry = pending[len(pending)-1].number
	}
	return nil
}

var metSeed = maphash.MakeSeed()

// firstMet says that the store was emptied for this fold and has not been given the order since: there is nothing to read. Two
// orders with one hash cost a read of nothing, no more.
func (t *task) firstMet(id string) bool {
	if t.met == nil {
		return false
	}
	h := maphash.String(metSeed, id)
	_, met := t.met[h]
	t.met[h] = struct{}{}
	return !met
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
