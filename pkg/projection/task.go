package projection

import (
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/participant/store"
)

// Bounds of one task. What does not fit waits in the log.
const (
	maxPending = 2000 // records read ahead per log; a log at the bound is left out of the next fetch
	fetchBytes = 256 << 10
	stepItems  = 256 // records per script, so that it stays short in Redis
)

// source is one topic of a task.
type source struct {
	broker.TopicPartition
	cursor   int64 // next offset to fetch
	applied  int64 // next offset to fold, as stored
	end      int64 // of the log, as the last fetch told it
	pending  int
	missedAt time.Time // since when the log holds what was not fetched; zero: it does not
	beyond   time.Time // since when the log ends before the cursor; zero: it does not
}

// item is one record on its way into the read model, or only a move of the position past what the log does not hold.
type item struct {
	source int
	rec    *broker.Record
	next   int64
}

// task is one partition of the read model: whoever owns it alone writes it.
type task struct {
	partition int
	taken     bool
	owner     string
	seq       int64
	sources   []*source
	pending   []item
	change    *change // built, not yet known to be applied
	compared  time.Time
	swept     time.Time
}

// change is one step as it is sent to the store, and what follows in memory when it is done.
type change struct {
	store.Change
	items     int
	positions []int64 // per source
	delays    []time.Time
	stored    []func() // tell the behaviour
}

func newTask(partition int, topics []string) *task {
	t := &task{partition: partition}
	for _, topic := range topics {
		t.sources = append(t.sources, &source{TopicPartition: broker.TopicPartition{Topic: topic, Partition: partition}})
	}
	return t
}

// drop forgets everything: the task must be taken over again.
func (t *task) drop() {
	t.taken, t.owner, t.seq, t.pending, t.change = false, "", 0, nil, nil
	for _, s := range t.sources {
		s.pending, s.beyond = 0, time.Time{}
	}
}

// done follows a change that the store took.
func (t *task) done(now time.Time) {
	ch := t.change
	t.change, t.compared = nil, now
	if len(ch.Ops) == 0 {
		return
	}
	t.seq++
	for _, it := range t.pending[:ch.items] {
		t.sources[it.source].pending--
	}
	clear(t.pending[:ch.items])
	t.pending = t.pending[ch.items:]
	for i, p := range ch.positions {
		t.sources[i].applied = p
	}
}

// add queues what a fetch brought.
func (t *task) add(source int, f broker.Fetched) {
	s := t.sources[source]
	for i := range f.Records {
		r := &f.Records[i]
		t.pending = append(t.pending, item{source: source, rec: r, next: r.Offset + 1})
	}
	s.pending += len(f.Records)
	if n := len(f.Records); n > 0 {
		s.cursor = f.Records[n-1].Offset + 1
	}
	if f.Next > s.cursor {
		t.skip(source, f.Next)
	}
}

// skip moves the position past offsets that the log does not hold.
func (t *task) skip(source int, to int64) {
	t.sources[source].cursor = to
	t.sources[source].pending++
	t.pending = append(t.pending, item{source: source, next: to})
}

func formatOffset(n int64) string { return strconv.FormatInt(n, 10) }
