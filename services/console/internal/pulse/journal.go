package pulse

import (
	"context"
	"errors"
	"maps"
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
	// settles is how many orders the time to settle is measured of.
	settles = 100
)

// topics of facts, in the order in which the journal refers to them.
var topics = []string{"order.events.v1", "payment.events.v1", "notification.events.v1"}

// journal is what the log says, read by whoever has no part in it.
type journal struct {
	log    broker.Log
	places map[broker.TopicPartition]*place

	// since is the time before which orders are not judged; zero: all are.
	since   time.Time
	orders  map[string]*order
	ages    []string                 // ids of orders as they came
	chains  map[string]letters.Chain // of dead letters, those too of which nothing waits any more
	mails   map[string]string        // ids of orders by the Message-ID of what was sent
	changed map[string]bool          // orders to look up at the gateway again
	copies  int                      // of events
	settled []settled                // those that settled last, in the order of time
	asked   bool                     // the gateway has been asked once about every order
}

// settled is when an order settled first, and how long that took from when it was placed.
type settled struct {
	at   time.Time
	took time.Duration
}

// place is how far one log is read.
type place struct {
	start int64 // of the log, as it was known last
	next  int64
	begun int64 // where the log ended when the journal was begun
	cut   bool  // its beginning is left out, and the first record was not read yet
	marks []mark
}

// mark is when a record was appended.
type mark struct {
	offset int64
	at     time.Time
}

// begin takes the places in the logs.
func begin(ctx context.Context, cfg Config) (*journal, error) {
	starts, err := cfg.Log.Starts(ctx, cfg.logs())
	if err != nil {
		return nil, err
	}
	ends, err := cfg.Log.Ends(ctx, cfg.logs())
	if err != nil {
		return nil, err
	}
	j := &journal{
		log: cfg.Log, places: map[broker.TopicPartition]*place{}, orders: map[string]*order{}, chains: map[string]letters.Chain{},
		mails: map[string]string{}, changed: map[string]bool{},
	}
	for tp, start := range starts {
		next := max(start, ends[tp]-window)
		j.places[tp] = &place{start: start, next: next, begun: ends[tp], cut: next > start}
	}
	return j, nil
}

// read reads once, waiting a moment for something new, and returns how many events of each type were appended since the
// journal was begun. The error is broker.ErrOutOfRange when a log does not hold the journal's place any more.
func (j *journal) read(ctx context.Context) (seen map[string]int64, err error) {
	var from []broker.Position
	for tp, at := range j.places {
		from = append(from, broker.Position{TopicPartition: tp, Offset: at.next, MaxBytes: readBytes})
	}
	fetched, err := j.log.Fetch(ctx, from)
	if err != nil {
		return nil, err
	}
	seen = map[string]int64{}
	var errs []error
	for _, f := range fetched {
		if f.Err != nil {
			errs = append(errs, f.Err)
			continue
		}
		at := j.places[f.TopicPartition]
		for _, r := range f.Records {
			if typ := j.take(at, r); typ != "" && r.Offset >= at.begun {
				seen[typ]++
			}
		}
		at.start, at.next = f.Start, f.Next
	}
	j.forget()
	return seen, errors.Join(errs...)
}

// passed says that everything before ends has been read.
func (j *journal) passed(ends map[broker.TopicPartition]int64) bool {
	if j == nil {
		return false
	}
	for tp, at := range j.places {
		if at.next < ends[tp] {
			return false
		}
	}
	return true
}

// take takes in a record, and returns the type of an event that is no copy.
func (j *journal) take(at *place, r broker.Record) string {
	if at.marks = append(at.marks, mark{r.Offset, r.Time}); len(at.marks) >= 2*maxMarks {
		at.marks = slices.Clone(at.marks[maxMarks:])
	}
	if at.cut { // what was appended before this was left out
		at.cut = false
		j.judgeFrom(r.Time)
	}
	topic := slices.Index(topics, r.Topic)
	if topic < 0 {
		j.letter(r)
		return ""
	}
	e, err := event.FromRecord(r)
	if err != nil {
		return ""
	}
	if !j.event(topic, e, r) {
		j.copies++
		return ""
	}
	return e.Type
}

func (j *journal) judgeFrom(t time.Time) {
	if t.After(j.since) {
		j.since = t
	}
}

// age is how long ago the record at an offset was appended, or the next that is known; 0 when none is.
func (p *place) age(offset int64, now time.Time) time.Duration {
	i, _ := slices.BinarySearchFunc(p.marks, offset, func(m mark, offset int64) int { return int(m.offset - offset) })
	if i == len(p.marks) {
		return 0
	}
	return now.Sub(p.marks[i].at)
}

// settle says how long those orders took to settle that did last; nil: none has.
func (j *journal) settle() *Settle {
	if len(j.settled) == 0 {
		return nil
	}
	var took []time.Duration
	for _, s := range j.settled {
		took = append(took, s.took)
	}
	slices.Sort(took)
	at := func(percent int) int64 { return took[percent*len(took)/100].Milliseconds() }
	return &Settle{P50: at(50), P95: at(95)}
}

// letter takes in a record about dead letters.
func (j *journal) letter(r broker.Record) {
	id, fold, err := letters.Note(r)
	if err != nil {
		return
	}
	chain, known := j.chains[id]
	if !known && !j.room() {
		j.judgeFrom(r.Time)
		return
	}
	j.chains[id] = fold(chain)
}

// room says whether another chain can be held, after dropping those of which nothing waits.
func (j *journal) room() bool {
	if len(j.chains) >= maxOrders {
		maps.DeleteFunc(j.chains, func(_ string, c letters.Chain) bool { return c.Head() == nil })
	}
	return len(j.chains) < maxOrders
}

// apart are the orders of which something waits behind a dead letter, with the participants that parked it, and those of which an
// operator gave something up.
func (j *journal) apart() (parked map[string][]string, givenUp map[string]bool) {
	parked, givenUp = map[string][]string{}, map[string]bool{}
	for _, c := range j.chains {
		if c.Head() != nil {
			parked[c.Order] = append(parked[c.Order], c.Participant)
		}
		if slices.ContainsFunc(c.Told, func(t letters.Told) bool { return t.Kind == deadletter.Discarded }) {
			givenUp[c.Order] = true
		}
	}
	return parked, givenUp
}
