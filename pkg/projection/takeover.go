package projection

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// takeOver claims every task that is not taken: a fresh owner token, the positions in Redis or 0, and as the goal
// the ends that the logs have now. A reader that does not find an order knows by the goal whether it may say so.
func (c *cycle[D]) takeOver(ctx context.Context) error {
	defer func() { c.set(partTasks, c.waitingTasks()) }()
	open := slices.DeleteFunc(slices.Clone(c.tasks), func(t *task) bool { return t.taken })
	if len(open) == 0 {
		return nil
	}
	if err := c.holds(ctx); err != nil {
		return err
	}
	if _, err := c.follow(ctx, open); err != nil {
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
	// What is claimed is not swapped by anybody else; it may have been in between.
	if moved, err := c.follow(ctx, open); err != nil || moved {
		return err
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
		t.taken, t.swapped = true, false
	}
	return nil
}

// follow reads which copies are live, and says whether others were until now. A shadow has no pointer to follow.
func (c *cycle[D]) follow(ctx context.Context, tasks []*task) (moved bool, err error) {
	if c.shadow {
		return false, nil
	}
	asked := make([]taskstore.Asked, len(tasks))
	for i, t := range tasks {
		asked[i] = taskstore.Asked{Key: c.base.Key(t.partition, rebuild.Key), Fields: []string{rebuild.FieldLive}}
	}
	live, err := c.base.Fields(ctx, asked)
	if err != nil {
		return false, &outage{partRedis, err}
	}
	for i, t := range tasks {
		moved = moved || c.copies[t.partition] != live[i][0]
		c.copies[t.partition] = live[i][0]
	}
	return moved, nil
}

// claim makes this task the owner of what is stored, and says what today's code can do with it.
func (c *cycle[D]) claim(ctx context.Context, t *task) (use, error) {
	swapped := t.swapped
	t.drop()
	t.owner, t.swapped = uuid.NewString(), swapped
	meta, err := c.store.Claim(ctx, t.partition, t.owner)
	if err != nil {
		return useNothing, &outage{partRedis, err}
	}
	t.seq = meta.Seq
	use := c.b.use(meta.FoldVersion)
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
	t.doubted = meta.Fields[fieldDoubted] != ""
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
		t.seq, t.mixed, t.doubted, t.counted, t.swapped = seqs[t.partition], "", false, false, false
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

// goals is the first change of a task: where it stands, and how far the logs went when it was taken over. That
// another version folded it is marked, whoever comes next.
func (c *cycle[D]) goals(t *task, ends map[broker.TopicPartition]int64) *change {
	var fields []string
	if t.mixed != "" {
		fields = append(fields, fieldVersion, t.mixed)
	}
	fields = append(fields, t.identities()...)
	for _, s := range t.sources {
		s.end = ends[s.TopicPartition]
		fields = append(fields, fieldPosition+s.Topic, formatOffset(s.applied))
		if !t.swapped { // nobody was away
			fields = append(fields, fieldGoal+s.Topic, formatOffset(s.end))
		}
	}
	ch := t.next()
	ch.Ops = []Op{{Cmd: "HSET", Key: c.key(t, keyMeta), Args: fields}}
	return ch
}
