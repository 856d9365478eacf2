package task

import (
	"context"
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

// Fields of the meta hash that the engine writes, each with a topic behind it. They are positions: next offsets.
const (
	PrefixInput = "in:"    // of an input: the lowest offset whose effect is not stored yet
	PrefixOwn   = "own:"   // of a topic the task writes; the handler's to keep
	prefixSince = "since:" // of an input: where reading began when the store was empty
	PrefixLog   = "log:"   // which log the positions of a topic are of; outlives a reset until others are written
)

// Lost says that the partition was given up; nothing of it may be used or written any more.
func (p *Partition) Lost() bool { return p.lost }

// Owner is the token of the claim.
func (p *Partition) Owner() string { return p.owner }

// Writing says that a change is under way.
func (p *Partition) Writing() bool { return p.change != nil }

// Restoring says that Handler.Restore has not returned yet.
func (p *Partition) Restoring() bool { return p.restoring }

// Input returns the one with this topic, nil when there is none.
func (p *Partition) Input(topic string) *Input {
	for _, in := range p.Inputs {
		if in.Topic == topic {
			return in
		}
	}
	return nil
}

func (p *Partition) comparedLately(now time.Time) bool { return now.Sub(p.compared) < CompareEvery }

func (p *Partition) giveUp() {
	p.lost = true
	p.cancel()
}

// Change is what one compare-and-swap writes of a task, and what follows in memory once the store has it.
type Change struct {
	taskstore.Change
	// Events is how many records are done with by it; a change with some is sent even when there is nothing to write.
	Events int
	// Then is called once the store has taken the change. Nil: nothing follows.
	Then func()

	store *taskstore.Store
	moved []field // numbers of meta that changed
	part  *Partition
}

type field struct {
	name string
	at   int64
}

// opArgs bounds the arguments of one command in a script: Lua unpacks them on its stack. It is even, for pairs.
const opArgs = 1000

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
