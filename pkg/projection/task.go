package projection

import (
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Bounds of one task. What does not fit waits in the log.
const (
	maxPending = 2000 // records read ahead per log; a log at the bound is left out of the next fetch
	fetchBytes = 256 << 10
	stepItems  = 256 // records per script, so that it stays short in Redis
)

// task is one partition of one copy of the read model: whoever owns it alone writes it.
type task struct {
	partition int
	taken     bool
	owner     string
	seq       int64
	logs      map[string]string // that it is folded from, or was before the claim: their identities, by topic
	mixed     string            // what the copy is called when more than one fold version folded it; empty: it was not
	sources   []*source
	pending   []item
	// Memory for those that come, for those that wait, and where the next merge puts these.
	news, waiting, spare []item
	change               *change // built, not yet known to be applied
	counted              bool    // the last change left a witness
	compared             time.Time
	swept                time.Time
	doubted              bool      // an adopted head was contradicted: to be rebuilt
	swapped              bool      // its shadow became what is live: that has reached its goal
	held                 time.Time // when it began to wait for its shadow
}

// source is one topic of a task.
type source struct {
	broker.TopicPartition
	cursor   int64 // next offset to fetch
	applied  int64 // next offset to fold, as stored
	end      int64 // of the log, as the takeover and then the last fetch told it
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

// change is one step as it is sent to the store, and what follows in memory when it is done.
type change struct {
	taskstore.Change
	items     int     // of the pending ones that it folds
	positions []int64 // by source, afterwards; nil: where they were
	delays    []time.Time
	stored    func() // tells the behaviour; nil: nothing to tell
	then      func() // what else follows; nil: nothing
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
	t.taken, t.owner, t.seq, t.change = false, "", 0, nil
	t.mixed, t.doubted, t.counted, t.swapped = "", false, false, false
	t.pending, t.news, t.waiting, t.spare = nil, nil, nil, nil
	for _, s := range t.sources {
		s.pending, s.beyond = 0, time.Time{}
	}
}

const (
	// holdFor is how long a live copy waits for its shadow: the shadow's logs may be away.
	holdFor = time.Second
	// holdAgain is how long after that it may be held anew.
	holdAgain = 10 * time.Second
)

// hold has the task wait shortly with what is queued.
func (t *task) hold(now time.Time) {
	if now.Sub(t.held) >= holdAgain {
		t.held = now
	}
}

// ready says whether there is something to fold at once.
func (t *task) ready(now time.Time) bool { return len(t.pending) > 0 && now.Sub(t.held) >= holdFor }

// behind says whether a log holds more than is folded of it.
func (t *task) behind() bool {
	return slices.ContainsFunc(t.sources, func(s *source) bool { return s.applied < s.end })
}

// next makes an empty change.
func (t *task) next() *change {
	return &change{Change: taskstore.Change{Partition: t.partition, Owner: t.owner, Seq: t.seq}}
}

// done follows a change that the store took.
func (t *task) done(now time.Time) {
	ch := t.change
	t.change, t.compared = nil, now
	if len(ch.Ops) == 0 {
		return
	}
	t.seq++
	t.folded(ch.items, ch.positions)
	if ch.then != nil {
		ch.then()
	}
}

// folded takes off what was folded.
func (t *task) folded(items int, positions []int64) {
	for _, it := range t.pending[:items] {
		t.sources[it.source].pending--
	}
	clear(t.pending[:items])
	t.pending = t.pending[items:]
	for i, p := range positions {
		t.sources[i].applied = p
	}
}

// add queues what a fetch brought. Far behind the ends of the logs, a fetch brings more of one log than a step
// takes; sorted by time, the events of one order still meet in one step, and its document is written once.
func (t *task) add(source int, f broker.Fetched) {
	from := t.sources[source]
	news := room(t.news, len(f.Records))
	for i := range f.Records {
		r := &f.Records[i]
		news = append(news, item{source: source, rec: r, next: r.Offset + 1})
	}
	t.news = news
	t.merge(news, from.pending)
	from.pending += len(news)
	if n := len(f.Records); n > 0 {
		from.cursor = f.Records[n-1].Offset + 1
	}
	if f.Next > from.cursor {
		t.skip(source, f.Next)
	}
}

// merge queues items of one source by time, none before those of the source that wait already, which are so many.
func (t *task) merge(news []item, waiting int) {
	first := 0
	for ; len(news) > 0 && waiting > 0; first++ {
		if t.pending[first].source == news[0].source {
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
func (t *task) skip(source int, to int64) {
	t.sources[source].cursor = to
	t.sources[source].pending++
	t.pending = append(t.pending, item{source: source, next: to})
}

func formatOffset(n int64) string { return strconv.FormatInt(n, 10) }
