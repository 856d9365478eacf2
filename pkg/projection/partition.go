package projection

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/task"
)

// Bounds of one task. What does not fit waits in the log.
const (
	maxPending = 2000    // records read ahead per log; a log at a bound is left out of the next fetch
	maxBytes   = 2 << 20 // of those
	fetchBytes = 256 << 10
	stepItems  = 256 // records per script, so that it stays short in Redis
)

// partition is one partition of one copy of the read model: whoever owns it alone writes it. Records wait in pending
// until a step takes the first of them; its change is under way until the store took it, and only then they leave. So
// a change whose outcome is unknown is sent again as it was, and nothing is built on it meanwhile.
type partition[D any] struct {
	*task.Partition
	inputs []input // in the order of those that the engine reads
	// pending is at most maxPending of each log. The first are those of the step under way; the others are sorted by time,
	// each log in its own order.
	pending []item
	folding int // how many the first are
	recent  *recent[D]
	step    *step   // folded, to be written
	begun   bool    // claimed, and nothing written since
	goals   []int64 // by input: the log's end when it was claimed
	mixed   string  // what the copy is called when more than one fold version folded it; empty: it was not
	doubted bool    // an adopted head was contradicted: to be rebuilt
	swept   time.Time
	held    time.Time // when it began to wait for its shadow
}

// input is how far one input is folded.
type input struct {
	applied int64 // next offset to fold, as stored
	after   int64 // the same once the change under way is stored
	pending int   // items that wait
	bytes   int   // of those
	newest  int64 // time of the newest record that was queued, in Unix milliseconds
}

// item is one record on its way into the read model, or only a move of the position past what the log does not hold.
type item struct {
	input int
	at    int64 // what it is sorted by: its time, or that of a newer one before it in its log
	rec   *broker.Record
	next  int64
}

func (it item) bytes() int {
	if it.rec == nil {
		return 0
	}
	return it.rec.Bytes()
}

// step is what one change folds.
type step struct {
	ops       []Op
	items     int     // of the pending ones
	positions []int64 // by input, afterwards; nil: where they were
	delays    []time.Time
	stored    func() // tells the behaviour; nil: nothing to tell
}

const (
	// holdFor is how long a live copy waits for its shadow: the shadow's logs may be away.
	holdFor = time.Second
	// holdAgain is how long after that it may be held anew.
	holdAgain = 10 * time.Second
)

// hold has the task wait shortly with what is queued.
func (t *partition[D]) hold(now time.Time) {
	if now.Sub(t.held) >= holdAgain {
		t.held = now
	}
}

// ready says whether there is something to fold at once.
func (t *partition[D]) ready(now time.Time) bool {
	return len(t.pending) > 0 && now.Sub(t.held) >= holdFor
}

// behind says whether a log holds more than is folded of it.
func (t *partition[D]) behind() bool {
	for i, in := range t.Inputs {
		if t.inputs[i].applied < in.End {
			return true
		}
	}
	return false
}

// await makes s the step under way: its items stay the first in pending until the store has it.
func (t *partition[D]) await(s *step) { t.step, t.folding = s, s.items }

// taken takes off what was folded, and moves the positions: the store has the step.
func (t *partition[D]) taken(s *step) {
	for _, it := range t.pending[:s.items] {
		t.inputs[it.input].pending--
		t.inputs[it.input].bytes -= it.bytes()
	}
	clear(t.pending[:s.items])
	t.pending, t.folding = t.pending[s.items:], 0
	for i := range t.inputs {
		t.inputs[i].applied = t.inputs[i].after
	}
}

// add queues what a fetch brought. Far behind the ends of the logs, a fetch brings more of one log than a step
// takes; sorted by time, the events of one order still meet in one step, and its document is written once. Each log
// stays in its order, whatever the clocks say.
func (t *partition[D]) add(input int, f broker.Fetched) {
	t.pending = slices.Grow(t.pending, len(f.Records)+1)
	cursor := t.Inputs[input].Cursor
	for i := range f.Records {
		cursor = f.Records[i].Offset + 1
		t.queue(input, &f.Records[i], cursor)
	}
	slices.SortStableFunc(t.pending[t.folding:], func(a, b item) int { return cmp.Compare(a.at, b.at) })
	if f.Next > cursor {
		t.skip(input, f.Next)
	}
}

// skip moves the position past offsets that the log does not hold.
func (t *partition[D]) skip(input int, to int64) { t.queue(input, nil, to) }

// queue appends an item; without a record it only moves the position.
func (t *partition[D]) queue(input int, rec *broker.Record, next int64) {
	in := &t.inputs[input]
	if in.pending++; rec != nil {
		in.newest = max(in.newest, rec.Time.UnixMilli())
	}
	it := item{input: input, at: in.newest, rec: rec, next: next}
	in.bytes += it.bytes()
	t.pending = append(t.pending, it)
}

func formatOffset(n int64) string { return strconv.FormatInt(n, 10) }
