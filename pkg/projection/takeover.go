package projection

import (
	"context"
	"strconv"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/store"
)

// takeOver claims every task that is not taken: a fresh owner token, the positions in Redis or 0, and as the goal the ends
// that the logs have now. A reader that does not find an order knows by the goal whether it may say so.
func (c *cycle[D]) takeOver(ctx context.Context) error {
	defer func() { c.set(partTasks, c.waitingTasks()) }()
	var open []*task
	var logs []broker.TopicPartition
	for _, t := range c.tasks {
		if t.taken {
			continue
		}
		open = append(open, t)
		for _, s := range t.sources {
			logs = append(logs, s.TopicPartition)
		}
	}
	if len(open) == 0 {
		return nil
	}
	if err := c.holds(ctx); err != nil {
		return err
	}
	for _, t := range open {
		if err := c.claim(ctx, t); err != nil {
			return err
		}
	}
	ends, err := c.cfg.Log.Ends(ctx, logs)
	if err != nil {
		return &outage{partKafka, err}
	}
	for _, t := range open {
		t.change = c.goals(t, ends)
		t.taken = true
	}
	return nil
}

// claim makes this task the owner of what is stored, or of nothing when what is stored was folded by other code.
func (c *cycle[D]) claim(ctx context.Context, t *task) error {
	t.drop()
	t.owner = uuid.NewString()
	meta, err := c.store.Claim(ctx, t.partition, t.owner)
	if err != nil {
		return &outage{partRedis, err}
	}
	t.seq = meta.Seq
	reset := meta.FoldVersion != c.b.version()
	for i, s := range t.sources {
		n, err := strconv.ParseInt(meta.Fields[fieldPosition+s.Topic], 10, 64)
		if err != nil || n < 0 {
			reset = true
			break
		}
		t.sources[i].cursor, t.sources[i].applied = n, n
	}
	c.watch.claimed(t.partition, reset)
	if reset {
		return c.reset(ctx, t)
	}
	return nil
}

// reset deletes what is stored; the task begins at 0.
func (c *cycle[D]) reset(ctx context.Context, t *task) error {
	verdict, err := c.store.Reset(ctx, t.partition, t.owner, c.b.version())
	if err == nil && verdict != store.Applied {
		c.doubt = true
		err = fault.New(fault.Unavailable, "partition %d was claimed by another instance", t.partition)
	}
	if err != nil {
		return &outage{partRedis, err}
	}
	t.seq = 0
	for _, s := range t.sources {
		s.cursor, s.applied = 0, 0
	}
	return nil
}

// startOver folds a task again from the start of its logs, because they are not the logs that were folded.
func (c *cycle[D]) startOver(ctx context.Context, t *task) error {
	c.watch.replaced(t.partition)
	err := c.reset(ctx, t)
	t.drop()
	return err
}

// goals is the first change of a task: where it stands, and how far the logs went when it was taken over.
func (c *cycle[D]) goals(t *task, ends map[broker.TopicPartition]int64) *change {
	op := Op{Cmd: "HSET", Key: c.store.Key(t.partition, keyMeta)}
	ch := &change{Change: store.Change{Partition: t.partition, Owner: t.owner, Seq: t.seq}}
	for _, s := range t.sources {
		op.Args = append(op.Args, fieldPosition+s.Topic, formatOffset(s.applied), fieldGoal+s.Topic, formatOffset(ends[s.TopicPartition]))
		ch.positions = append(ch.positions, s.applied)
	}
	ch.Ops = []Op{op}
	return ch
}
