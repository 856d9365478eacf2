package pulse

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

const (
	// window is how many records of each log are read at the start: what lies before is not judged.
	window = 5000
	// maxOrders is how many orders are held; the oldest go first, and are not judged any more.
	maxOrders = 50_000
	// maxMarks bounds the times of records that are remembered for each log.
	maxMarks  = 8192
	readBytes = 256 << 10
	seconds   = 64
	settles   = 4096
)

// Topics of facts, in the order in which the journal refers to them.
var Topics = []string{"order.events.v1", "payment.events.v1", "notification.events.v1"}

// journal is what the log says, read by whoever has no part in it.
type journal struct {
	log        broker.Log
	logs       []broker.TopicPartition
	partitions int
	rested     bool // it has not read for a while

	starts, next, ends map[broker.TopicPartition]int64 // ends as they were known last
	from               map[broker.TopicPartition]int64
	marks              map[broker.TopicPartition][]mark
	cut                map[broker.TopicPartition]bool // its beginning was left out

	// since is the time before which orders are not judged; zero: all are.
	since   time.Time
	orders  map[string]*order
	ages    []string                   // ids of orders as they came
	letters map[string]map[string]bool // by participant and order: those that wait (true) and those that came out again
	given   map[string]bool            // orders of which an operator discarded something
	mails   map[string]string          // ids of orders by the Message-ID of what was sent
	changed map[string]bool            // orders to look up at the gateway again

	perSecond [seconds]second
	took      [settles]settle
	tookNext  int
}

// mark is when a record was appended.
type mark struct {
	offset int64
	at     time.Time
}

type second struct {
	unix                  int64
	orders, copies        int
	retried, deduplicated int // as participants tell
}

type settle struct {
	at   time.Time
	took time.Duration
}

func newJournal(cfg Config) *journal {
	j := &journal{log: cfg.Log, partitions: cfg.Partitions}
	for _, topic := range Topics {
		j.logs = append(j.logs, cfg.logsOf(topic)...)
	}
	for _, participant := range letters.Participants {
		j.logs = append(j.logs, cfg.logsOf(deadletter.Topic(participant))...)
	}
	return j
}

// begin forgets everything and takes its places in the logs.
func (j *journal) begin(starts, ends map[broker.TopicPartition]int64) {
	*j = journal{
		log: j.log, logs: j.logs, partitions: j.partitions, starts: starts, ends: ends,
		next: map[broker.TopicPartition]int64{}, from: map[broker.TopicPartition]int64{}, marks: map[broker.TopicPartition][]mark{},
		cut: map[broker.TopicPartition]bool{}, orders: map[string]*order{}, letters: map[string]map[string]bool{},
		given: map[string]bool{}, mails: map[string]string{}, changed: map[string]bool{},
	}
	for _, tp := range j.logs {
		j.next[tp] = max(starts[tp], ends[tp]-window)
		j.from[tp] = j.next[tp]
		j.cut[tp] = j.next[tp] > starts[tp]
	}
}

// read reads once, waiting a moment for something new, and returns how many events of each type came. When it has slept for long, or the log
// does not hold its place any more, it begins anew.
func (j *journal) read(ctx context.Context) (seen map[string]int64, err error) {
	if j.rested || j.next == nil {
		if err := j.wakeUp(ctx); err != nil {
			return nil, err
		}
	}
	from := make([]broker.Position, len(j.logs))
	for i, tp := range j.logs {
		from[i] = broker.Position{TopicPartition: tp, Offset: j.next[tp], MaxBytes: readBytes}
	}
	fetched, err := j.log.Fetch(ctx, from)
	if err != nil {
		return nil, err
	}
	seen = map[string]int64{}
	var errs []error
	for _, f := range fetched {
		if errors.Is(f.Err, broker.ErrOutOfRange) {
			j.next = nil
			return seen, nil
		}
		if f.Err != nil {
			errs = append(errs, f.Err)
			continue
		}
		for _, r := range f.Records {
			if typ := j.take(r); typ != "" {
				seen[typ]++
			}
		}
		j.next[f.TopicPartition], j.ends[f.TopicPartition] = f.Next, f.End
		j.starts[f.TopicPartition] = f.Start
	}
	j.forget()
	return seen, errors.Join(errs...)
}

func (j *journal) wakeUp(ctx context.Context) error {
	starts, err := j.log.Starts(ctx, j.logs)
	if err != nil {
		return err
	}
	ends, err := j.log.Ends(ctx, j.logs)
	if err != nil {
		return err
	}
	far := func(tp broker.TopicPartition) bool {
		return j.next[tp] < starts[tp] || j.next[tp] > ends[tp] || ends[tp]-j.next[tp] > window
	}
	if j.next == nil || slices.ContainsFunc(j.logs, far) {
		j.begin(starts, ends)
	}
	j.rested = false
	return nil
}

// share is how much of what was there has been read, up to 1.
func (j *journal) share() float64 {
	if j.next == nil {
		return 0
	}
	read, all := int64(0), int64(0)
	for _, tp := range j.logs {
		read, all = read+j.next[tp]-j.from[tp], all+j.ends[tp]-j.from[tp]
	}
	if all == 0 {
		return 1
	}
	return min(1, float64(read)/float64(all))
}

// passed says that everything before ends has been read.
func (j *journal) passed(ends map[broker.TopicPartition]int64) bool {
	return j.next != nil && !slices.ContainsFunc(j.logs, func(tp broker.TopicPartition) bool { return j.next[tp] < ends[tp] })
}

// take takes in a record, and returns the type of an event that is no copy.
func (j *journal) take(r broker.Record) string {
	tp := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	if j.marks[tp] = append(j.marks[tp], mark{r.Offset, r.Time}); len(j.marks[tp]) >= 2*maxMarks {
		j.marks[tp] = slices.Clone(j.marks[tp][maxMarks:])
	}
	if j.cut[tp] { // what was appended before this was left out
		delete(j.cut, tp)
		j.judgeFrom(r.Time)
	}
	topic := slices.Index(Topics, r.Topic)
	if topic < 0 {
		j.letter(r)
		return ""
	}
	e, err := event.FromRecord(r)
	if err != nil {
		return ""
	}
	if !j.event(topic, e, r) {
		j.at(r.Time).copies++
		return ""
	}
	return e.Type
}

func (j *journal) judgeFrom(t time.Time) {
	if t.After(j.since) {
		j.since = t
	}
}

// timeOf is when the record at an offset was appended, or the next that is known; ok is false when none is.
func (j *journal) timeOf(tp broker.TopicPartition, offset int64) (at time.Time, ok bool) {
	i, _ := slices.BinarySearchFunc(j.marks[tp], offset, func(m mark, offset int64) int { return int(m.offset - offset) })
	if i == len(j.marks[tp]) {
		return time.Time{}, false
	}
	return j.marks[tp][i].at, true
}

// at is the second of a time, counted anew when its place was another's; one long past gets a place of its own.
func (j *journal) at(t time.Time) *second {
	u := t.Unix()
	s := &j.perSecond[uint64(u)%seconds]
	if s.unix > u {
		return &second{}
	}
	if s.unix < u {
		*s = second{unix: u}
	}
	return s
}

// second returns what happened in a second.
func (j *journal) second(unix int64) second {
	if s := j.perSecond[uint64(unix)%seconds]; s.unix == unix {
		return s
	}
	return second{}
}

// settled counts the orders that settled in the minute before now, of the last few thousand, and how long they took.
func (j *journal) settled(now time.Time) (n int, p [3]time.Duration) {
	var took []time.Duration
	for _, s := range j.took {
		if now.Sub(s.at) <= time.Minute {
			took = append(took, s.took)
		}
	}
	if len(took) == 0 {
		return 0, p
	}
	slices.Sort(took)
	for i, q := range []float64{.5, .95, .99} {
		p[i] = took[min(int(q*float64(len(took))), len(took)-1)]
	}
	return len(took), p
}
