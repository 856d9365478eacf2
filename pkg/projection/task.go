package projection

import (
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/task"
)

// Bounds of one task. What does not fit waits in the log.
const (
	maxPending = 2000 // records read ahead per log; a log at the bound is left out of the next fetch
	fetchBytes = 256 << 10
	stepItems  = 256 // records per script, so that it stays short in Redis
)

// partition is one partition of one copy of the read model: whoever owns it alone writes it.
type partition[D any] struct {
	*task.Partition
	inputs  []input
	pending []item
	// Memory for those that come, for those that wait, and where the next merge puts these.
	news, waiting, spare []item
	recent               *recent[D]
	step                 *step   // folded, to be written
	begun                bool    // claimed, and nothing written since
	goals                []int64 // by input: the log's end when it was claimed
	mixed                string  // what the copy is called when more than one fold version folded it; empty: it was not
	doubted              bool    // an adopted head was contradicted: to be rebuilt
	swept                time.Time
	held                 time.Time // when it began to wait for its shadow
}

// input is how far one input is folded.
type input struct {
	applied int64 // next offset to fold, as stored
	after   int64 // the same once the change under way is stored
	pending int   // items that wait
}

// item is one record on its way into the read model, or only a move of the position past what the log does not hold.
type item struct {
	input int
	rec   *broker.Record
	next  int64
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

// folded takes off what was folded.
func (t *partition[D]) folded(s *step) {
	for _, it := range t.pending[:s.items] {
		t.inputs[it.input].pending--
	}
	clear(t.pending[:s.items])
	t.pending = t.pending[s.items:]
	for i := range t.inputs {
		t.inputs[i].applied = t.inputs[i].after
	}
}

// add queues what a fetch brought. Far behind the ends of the logs, a fetch brings more of one log than a step
// takes; sorted by time, the events of one order still meet in one step, and its document is written once.
func (t *partition[D]) add(input int, f broker.Fetched) {
	news := room(t.news, len(f.Records))
	for i := range f.Records {
		r := &f.Records[i]
		news = append(news, item{input: input, rec: r, next: r.Offset + 1})
	}
	t.news = news
	cursor := t.Inputs[input].Cursor
	if n := len(news); n > 0 {
		cursor = news[n-1].next
	}
	t.merge(news, t.inputs[input].pending)
	t.inputs[input].pending += len(news)
	if f.Next > cursor {
		t.skip(input, f.Next)
	}
}

// merge queues items of one source by time, none before those of the source that wait already, which are so many.
func (t *partition[D]) merge(news []item, waiting int) {
	first := 0
	for ; len(news) > 0 && waiting > 0; first++ {
		if t.pending[first].input == news[0].input {
			waiting--
		}
	}
	was := t.pending
	merged, later := append(room(t.spare, len(was)+len(news)), was[:first]...), was[first:]
	for len(news) > 0 && len(later) > 0 {
		from := &later
		if news[0].before(later[0]) {
			from = &news
		}
		merged, *from = append(merged, (*from)[0]), (*from)[1:]
	}
	merged = append(append(merged, later...), news...)
	clear(was) // nothing keeps a record that is folded
	clear(t.news)
	t.pending, t.waiting, t.spare = merged, merged, t.waiting
}

// room returns an empty slice for n items, in memory that is there already when it suffices.
func room(memory []item, n int) []item {
	if cap(memory) >= n {
		return memory[:0]
	}
	return make([]item, 0, n+n/4)
}

// before says whether an item is the older one; only a record has a time.
func (a item) before(b item) bool {
	return a.rec != nil && b.rec != nil && a.rec.Time.Before(b.rec.Time)
}

// skip moves the position past offsets that the log does not hold.
func (t *partition[D]) skip(input int, to int64) {
	t.inputs[input].pending++
	t.pending = append(t.pending, item{input: input, next: to})
}

func formatOffset(n int64) string { return strconv.FormatInt(n, 10) }
