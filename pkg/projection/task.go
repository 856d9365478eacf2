package projection

import (
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

// task is one partition of the read model: whoever owns it alone writes it.
type task struct {
	partition int
	taken     bool
	owner     string
	seq       int64
	logs      map[string]string // that it is folded from, or was before the claim: their identities, by topic
	*space                      // the live one
	rebuild
	change   *change // built, not yet known to be applied
	counted  bool    // the last change left a witness
	compared time.Time
	swept    time.Time
	refold   map[string]bool // orders to be folded again from the log's start, as noted in the meta
	refolds  int             // how many were noted
}

// space is one copy of what a task keeps, under a name of its own, folded from the logs up to some positions.
type space struct {
	name    string
	sources []*source
	pending []item
	// Memory for those that come, for those that wait, and where the next merge puts these.
	news, waiting, spare []item
}

// source is one topic of a space.
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

// change is one step as it is sent to the store, and what follows in memory when it is done.
type change struct {
	taskstore.Change
	moves  []move
	delays []time.Time
	swaps  *space // that is live afterwards; nil: the same
	stored func() // tells the behaviour; nil: nothing to tell
	then   func() // what else follows; nil: nothing
}

// move is how far a change takes a space.
type move struct {
	space     *space
	items     int // of its pending ones
	positions []int64
}

func newTask(partition int, topics []string) *task {
	return &task{partition: partition, space: newSpace("", partition, topics)}
}

func newSpace(name string, partition int, topics []string) *space {
	s := &space{name: name}
	for _, topic := range topics {
		s.sources = append(s.sources, &source{TopicPartition: broker.TopicPartition{Topic: topic, Partition: partition}})
	}
	return s
}

// drop forgets everything: the task must be taken over again.
func (t *task) drop() {
	t.taken, t.owner, t.seq, t.change = false, "", 0, nil
	t.rebuild, t.name, t.refold, t.counted = rebuild{}, "", nil, false
	t.pending, t.news, t.waiting, t.spare = nil, nil, nil, nil
	for _, s := range t.sources {
		s.pending, s.beyond = 0, time.Time{}
	}
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
	for _, m := range ch.moves {
		m.space.done(m.items, m.positions)
	}
	if ch.then != nil {
		ch.then()
	}
}

// done takes off what was folded.
func (s *space) done(items int, positions []int64) {
	for _, it := range s.pending[:items] {
		s.sources[it.source].pending--
	}
	clear(s.pending[:items])
	s.pending = s.pending[items:]
	for i, p := range positions {
		s.sources[i].applied = p
	}
}

// add queues what a fetch brought. Far behind the ends of the logs, a fetch brings more of one log than a step takes; sorted by
// time, the events of one order still meet in one step, and its document is written once.
func (s *space) add(source int, f broker.Fetched) {
	from := s.sources[source]
	news := room(s.news, len(f.Records))
	for i := range f.Records {
		r := &f.Records[i]
		news = append(news, item{source: source, rec: r, next: r.Offset + 1})
	}
	s.news = news
	s.merge(news, from.pending)
	from.pending += len(news)
	if n := len(f.Records); n > 0 {
		from.cursor = f.Records[n-1].Offset + 1
	}
	if f.Next > from.cursor {
		s.skip(source, f.Next)
	}
}

// merge queues items of one source by time, none before those of the source that wait already, which are so many.
func (s *space) merge(news []item, waiting int) {
	first := 0
	for ; len(news) > 0 && waiting > 0; first++ {
		if s.pending[first].source == news[0].source {
			waiting--
		}
	}
	was := s.pending
	merged, later := append(room(s.spare, len(was)+len(news)), was[:first]...), was[first:]
	for len(news) > 0 && len(later) > 0 {
		from := &later
		if news[0].before(later[0]) {
			from = &news
		}
		merged, *from = append(merged, (*from)[0]), (*from)[1:]
	}
	merged = append(append(merged, later...), news...)
	clear(was) // nothing keeps a record that is folded
	clear(s.news)
	s.pending, s.waiting, s.spare = merged, merged, s.waiting
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
func (s *space) skip(source int, to int64) {
	s.sources[source].cursor = to
	s.sources[source].pending++
	s.pending = append(s.pending, item{source: source, next: to})
}

func formatOffset(n int64) string { return strconv.FormatInt(n, 10) }
