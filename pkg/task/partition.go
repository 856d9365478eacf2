package task

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Task is what a handler keeps of one partition. It embeds *Partition, which is all that the engine asks for.
type Task interface{ part() *Partition }

func (p *Partition) part() *Partition { return p }

// Partition is one partition that this instance owns, under one claim: after a loss there is a new one. It belongs to
// the engine's goroutine.
type Partition struct {
	Number int
	// Ctx ends when the partition is lost or the generation is over.
	Ctx context.Context
	// Inputs are in the order of Config.Inputs.
	Inputs []*Input
	// Stored are the numbers in the task's meta hash, as last written or, after a claim, as found: positions and the
	// handler's own fields. It is empty when nothing was kept.
	Stored map[string]int64
	// Emptied says that what was kept was deleted by this claim.
	Emptied bool
	// Replaced are the topics whose positions, as found, were of logs that are gone.
	Replaced map[string]bool
	// Moved says that positions may be others than what is stored.
	Moved bool

	cancel    context.CancelFunc
	lost      bool // its memory must not be used again
	restoring bool // inputs are not read yet, so their positions are not written
	owner     string
	seq       int64
	change    *Change // sent; its outcome is not known yet
	compared  time.Time
	// logs are the identities of the topics that it was restored from; unwritten, as fields of meta and their values,
	// are those that the store does not say yet.
	logs      map[string]string
	unwritten []string
	// countedKeys are the full names of what the handler had counted last.
	countedRests, countedKeys []string
}

// Input is one topic of a partition as it is read.
type Input struct {
	broker.TopicPartition
	// Cursor is the next offset to fetch.
	Cursor int64
	// End of the log, as it was told last.
	End int64
	// FromStart says that the store has kept what was read since the log's start: a first fact begins its chain.
	FromStart bool
	// Err says why the broker does not let it be read; nil when it does.
	Err error

	name, sinceName string // of its positions in meta

	since     int64 // offset from which on the store has kept what was read
	committed int64 // last offset committed, or uncommitted, unknown
	toldAt    time.Time
	missedAt  time.Time // since when the log holds what was not fetched; zero: it does not
}

// What stands for an offset that a group has committed.
const (
	uncommitted = -1 // none
	unknown     = -2 // or of a log that is gone: the next commit says where reading is, 0 as well
)

// Fields of the meta hash that the engine writes, each with a topic behind it. They are positions: next offsets.
const (
	PrefixInput = "in:"    // of an input: the lowest offset whose effect is not stored yet
	PrefixOwn   = "own:"   // of a topic the task writes; the handler's to keep
	prefixSince = "since:" // of an input: where reading began when the store was empty
	PrefixLog   = "log:"   // which log the positions of a topic are of; outlives a reset until others are written
)

// NewPartition returns a partition that reads some topics; nothing of it is claimed or stored. ctx is that of the
// generation.
func NewPartition(ctx context.Context, number int, topics []string) *Partition {
	p := &Partition{Number: number, Stored: map[string]int64{}, Moved: true, Replaced: map[string]bool{}}
	p.Ctx, p.cancel = context.WithCancel(ctx)
	for _, topic := range topics {
		p.Inputs = append(p.Inputs, &Input{
			TopicPartition: broker.TopicPartition{Topic: topic, Partition: number}, End: -1, committed: uncommitted,
			name: PrefixInput + topic, sinceName: prefixSince + topic,
		})
	}
	return p
}

// Lost says that the partition was given up; nothing of it may be used or written any more.
func (p *Partition) Lost() bool { return p.lost }

// Owner is the token of the claim.
func (p *Partition) Owner() string { return p.owner }

// Writing says that a change is under way.
func (p *Partition) Writing() bool { return p.change != nil }

// Restoring says that Handler.Restore has not returned yet.
func (p *Partition) Restoring() bool { return p.restoring }

func (p *Partition) comparedLately(now time.Time) bool { return now.Sub(p.compared) < CompareEvery }

func (p *Partition) giveUp() {
	p.lost = true
	p.cancel()
}

// found takes in what the store kept of the task when it was claimed, for logs as they are now.
func (p *Partition) found(m taskstore.Meta, logs map[string]string) {
	p.seq = m.Seq
	p.compareLogs(m.Fields, logs)
	for name, text := range m.Fields {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && !strings.HasPrefix(name, PrefixLog) {
			p.Stored[name] = n
		}
	}
}

// compareLogs finds the topics whose positions, as kept, are of other logs than those that are there now, and remembers
// what must be written of those. Positions of which nothing is known were written by a release that did not tell: they
// are believed.
func (p *Partition) compareLogs(kept, now map[string]string) {
	p.logs = now
	for topic, id := range now {
		was, known := kept[PrefixLog+topic]
		if was == id {
			continue
		}
		p.unwritten = append(p.unwritten, PrefixLog+topic, id)
		if known {
			p.Replaced[topic] = true
		}
	}
}

// counted are the full names of the keys whose loss is to be noticed. They are seldom others than last time.
func (p *Partition) counted(store *taskstore.Store, rests []string) []string {
	if !slices.Equal(rests, p.countedRests) {
		p.countedRests, p.countedKeys = slices.Clone(rests), make([]string, len(rests))
		for i, rest := range rests {
			p.countedKeys[i] = store.Key(p.Number, rest)
		}
	}
	return p.countedKeys
}

// Change is what one compare-and-swap writes of a task, and what follows in memory once the store has it.
type Change struct {
	taskstore.Change
	// Events is how many records are done with by it; a change with some is sent even when there is nothing to write.
	Events int
	// Then is called once the store has taken the change. Nil: nothing follows.
	Then func()

	store *taskstore.Store
	part  *Partition
	moved []field // numbers of meta that changed
}

// field is a number in the meta hash.
type field struct {
	name string
	at   int64
}

// opArgs bounds the arguments of one command in a script: Lua unpacks them on its stack. It is even, for pairs.
const opArgs = 1000

func newChange(store *taskstore.Store, p *Partition) *Change {
	const some = 8 // commands and positions
	return &Change{
		Change: taskstore.Change{Partition: p.Number, Owner: p.owner, Seq: p.seq, Ops: make([]taskstore.Op, 0, some)},
		store:  store, part: p, moved: make([]field, 0, some),
	}
}

// Add appends a command on one of the task's keys, which is named without its hash tag: "outbox". More arguments than
// one command may have become several commands.
func (ch *Change) Add(cmd, key string, args ...string) {
	full := ch.store.Key(ch.Partition, key)
	for first := true; first || len(args) > 0; first = false {
		n := min(len(args), opArgs)
		ch.Ops = append(ch.Ops, taskstore.Op{Cmd: cmd, Key: full, Args: args[:n]})
		args = args[n:]
	}
}

// Set writes a number into the meta hash, unless it is stored already.
func (ch *Change) Set(name string, at int64) {
	if stored, ok := ch.part.Stored[name]; !ok || stored != at {
		ch.moved = append(ch.moved, field{name, at})
	}
}

// writeMeta adds the command for the numbers that were set, and for other fields and their values.
func (ch *Change) writeMeta(others []string) {
	fields := others
	for _, f := range ch.moved {
		fields = append(fields, f.name, strconv.FormatInt(f.at, 10))
	}
	if len(fields) > 0 {
		ch.Add("HSET", "meta", fields...)
	}
}

// taken follows the change in memory: the store has it.
func (ch *Change) taken() {
	p := ch.part
	p.change = nil
	if len(ch.Ops) > 0 {
		p.seq++
	}
	p.Moved = p.Moved || len(ch.Ops)+ch.Events > 0 // what was written may let positions go on
	for _, f := range ch.moved {
		p.Stored[f.name] = f.at
	}
	if ch.Then != nil {
		ch.Then()
	}
}
