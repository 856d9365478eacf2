package projection

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// takeOver claims every task that is not taken: a fresh owner token, the positions in Redis or 0, and as the goal the ends
// that the logs have now. A reader that does not find an order knows by the goal whether it may say so.
func (c *cycle[D]) takeOver(ctx context.Context) error {
	defer func() { c.set(partTasks, c.waitingTasks()) }()
	open := slices.DeleteFunc(slices.Clone(c.tasks), func(t *task) bool { return t.taken })
	if len(open) == 0 {
		return nil
	}
	if err := c.holds(ctx); err != nil {
		return err
	}
	uses := map[*task]use{}
	for _, t := range open {
		use, err := c.claim(ctx, t)
		if err != nil {
			return err
		}
		uses[t] = use
	}
	// Not before the claims: whoever had a task folds on until then, and would be beyond an end that was asked earlier.
	identities, ends, err := c.logs(ctx, open)
	if err != nil {
		return err
	}
	var useless []*task
	for _, t := range open {
		if topics := t.replaced(identities, ends); uses[t] != useNothing && len(topics) > 0 {
			uses[t] = useNothing
			c.watch.replaced(t.partition, topics...)
		}
		if uses[t] == useNothing {
			useless = append(useless, t)
		}
		t.logs = identities
		c.watch.claimed(t.partition, uses[t] == useNothing)
	}
	if len(useless) > 0 {
		if err := c.reset(ctx, useless...); err != nil {
			return err
		}
	}
	for _, t := range open {
		t.change = c.goals(t, ends)
		t.taken = true
	}
	return nil
}

// claim makes this task the owner of what is stored, and says what today's code can do with it.
func (c *cycle[D]) claim(ctx context.Context, t *task) (use, error) {
	t.drop()
	t.owner = uuid.NewString()
	meta, err := c.store.Claim(ctx, t.partition, t.owner)
	if err != nil {
		return useNothing, &outage{partRedis, err}
	}
	t.seq = meta.Seq
	use := c.b.use(meta.FoldVersion)
	t.name = meta.Fields[fieldSpace]
	if whole, err := c.whole(ctx, t, meta); err != nil {
		return useNothing, &outage{partRedis, err}
	} else if !whole {
		use = useNothing
	}
	t.logs = map[string]string{}
	for _, s := range t.sources {
		t.logs[s.Topic] = meta.Fields[fieldLog+s.Topic]
		text, there := meta.Fields[fieldPosition+s.Topic]
		if use == useForNow && !there {
			text = "0" // that version did not know the topic
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			use = useNothing
			break
		}
		s.cursor, s.applied = n, n
	}
	if use == useForNow {
		t.mixed = strings.TrimSuffix(meta.FoldVersion, mixed) + mixed
	}
	c.resume(t, meta.Fields)
	t.refold = refoldNotes(meta.Fields)
	return use, nil
}

// reset deletes what is stored of some tasks; they begin at 0.
func (c *cycle[D]) reset(ctx context.Context, tasks ...*task) error {
	owners := map[int]string{}
	for _, t := range tasks {
		owners[t.partition] = t.owner
	}
	seqs, verdict, err := c.store.Reset(ctx, owners, c.b.version())
	if err == nil && verdict != taskstore.Applied {
		c.doubt = true
		err = fault.New(fault.Unavailable, "a partition was claimed by another instance")
	}
	if err != nil {
		return &outage{partRedis, err}
	}
	for _, t := range tasks {
		t.seq, t.name, t.rebuild, t.refold, t.counted = seqs[t.partition], "", rebuild{}, map[string]bool{}, false
		for _, s := range t.sources {
			s.cursor, s.applied = 0, 0
		}
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

// goals is the first change of a task: where it stands, and how far the logs went when it was taken over. That another version
// folded it is marked, whoever comes next.
func (c *cycle[D]) goals(t *task, ends map[broker.TopicPartition]int64) *change {
	op := Op{Cmd: "HSET", Key: c.store.Key(t.partition, keyMeta)}
	if t.mixed != "" {
		op.Args = append(op.Args, fieldVersion, t.mixed)
	}
	op.Args = append(op.Args, t.identities()...)
	for _, s := range t.sources {
		op.Args = append(op.Args, fieldPosition+s.Topic, formatOffset(s.applied), fieldGoal+s.Topic, formatOffset(ends[s.TopicPartition]))
	}
	ch := t.next()
	ch.Ops = []Op{op}
	return ch
}
