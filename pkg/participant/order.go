package participant

import (
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// head is the last fact accepted in a chain: of one order, in one topic.
type head struct {
	seq uint64
	id  string
	// adopted: the chain's first fact met here was taken on trust, since what is before it was not met. What names it says nothing
	// about that: both can be late copies. Only the log's start knows.
	adopted bool
}

const adoptedMark = " adopted"

// append writes a head as it is kept.
func (h head) append(b []byte) []byte {
	b = append(append(strconv.AppendUint(b, h.seq, 10), ' '), h.id...)
	if h.adopted {
		b = append(b, adoptedMark...)
	}
	return b
}

func parseHead(s string) (head, error) {
	seq, id, _ := strings.Cut(s, " ")
	id, adopted := strings.CutSuffix(id, adoptedMark)
	if id == "" {
		return head{}, fault.New(fault.Permanent, "chain head %q is not a sequence and an id", s)
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return head{}, fault.New(fault.Permanent, "chain head %q has no sequence", s)
	}
	return head{n, id, adopted}, nil
}

// judgement of an arriving event, by the chain table of the protocol.
type judgement int

const (
	valid judgement = iota
	duplicate
	void
)

// order is what a task knows of one order: its state, and per source the head of the chain it accepted. It lives in memory while
// something is under way and is loaded from Redis otherwise. Nothing in it is part of a record: it is kept for longer.
type order struct {
	id     string
	state  any
	text   string // of the state
	own    head   // of the facts this task decided or folded; seq 0: none yet
	first  int64  // offset of the first fact in the own topic, -1 when unknown
	heads  []heard
	seen   marks     // the events answered
	parked []waiting // letters, in order
	// retryAt is when the participant redrives them by itself; zero: they wait for a person. In whole milliseconds.
	retryAt time.Time
	asked   asked  // the request under way, if any
	entry   int64  // number of its latest outbox entry
	trace   string // ce_traceparent of its first fact that has one: what happens later joins that trace
	lane    lane

	touched bool // the next change looks at it
	changed bool // and writes it
	kept    bool // it was written last where nothing expires: see kept.go
}

// heard is the head of one topic's chain: the last fact consumed.
type heard struct {
	topic string
	head
}

func newOrder(id string, zero any) *order { return &order{id: id, state: zero, first: -1} }

// judge places an event that arrived from a topic in its chain. Validity is checked before the id: a void fact and its valid
// successor can have the same id.
func (o *order) judge(topic string, e event.Event) judgement {
	known := o.saw(e.ID) || o.waits(e.ID)
	h, ok := o.head(topic)
	switch {
	case e.Sequence == 0, !ok, e.Sequence == h.seq+1 && e.PreviousID == h.id:
		if known {
			return duplicate
		}
		return valid
	case e.Sequence <= h.seq && (known || e.ID == h.id):
		return duplicate
	}
	return void
}

// head is the last fact accepted in a topic's chain; ok is false where there is none.
func (o *order) head(topic string) (h head, ok bool) {
	for i := range o.heads {
		if o.heads[i].topic == topic {
			return o.heads[i].head, true
		}
	}
	return head{}, false
}

// setHead moves a chain's head.
func (o *order) setHead(topic string, h head) {
	i := slices.IndexFunc(o.heads, func(h heard) bool { return h.topic == topic })
	if i < 0 {
		i = len(o.heads)
		o.heads = append(o.heads, heard{topic: topic})
	}
	o.heads[i].head = h
	o.changed = true
}

// moved remembers that the fact was accepted: answered, parked or found a duplicate.
func (o *order) moved(topic string, e event.Event) {
	if h, ok := o.head(topic); e.Sequence > 0 && (!ok || e.Sequence > h.seq) {
		o.setHead(topic, head{seq: e.Sequence, id: strings.Clone(e.ID), adopted: !ok || h.adopted})
	}
}

// adopt moves a head to a letter that the fold met: nobody knows what came after it once the chain is gone.
func (o *order) adopt(topic string, e event.Event) {
	before, _ := o.head(topic)
	o.moved(topic, e)
	if h, _ := o.head(topic); h != before {
		h.adopted = true
		o.setHead(topic, h)
	}
}

// forgetAdopted forgets the heads that were taken on trust.
func (o *order) forgetAdopted() {
	o.heads = slices.DeleteFunc(o.heads, func(h heard) bool { return h.adopted })
	o.changed = true
}

// answered remembers an event by its id: its idempotency key.
func (o *order) answered(id string) {
	if id != "" && !o.saw(id) {
		o.see(id, seenPlain)
	}
}

// saw says whether an event is answered.
func (o *order) saw(id string) bool { return o.seen.has(id) }

// seenAs is how an event was answered; empty when it was not.
func (o *order) seenAs(id string) string {
	_, _, how := o.seen.find(id)
	return how
}

func (o *order) see(id, how string) {
	if from, to, before := o.seen.find(id); before != how {
		o.seen = o.seen.without(from, to).add(id, how)
	}
	o.changed = true
}

// follows says whether a fact of the own topic is the next of this order; with no head (the log is trimmed), any fact is.
func (o *order) follows(e event.Event) bool {
	if o.own.seq == 0 {
		return true
	}
	return e.Sequence == o.own.seq+1 && e.PreviousID == o.own.id
}

// evolve folds one fact of the own topic into the state and moves the decided head.
func (o *order) evolve(b *behavior, fact event.Message, offset int64) error {
	if fact.Body != nil {
		state, text, err := b.evolved(o.state, fact)
		if err != nil {
			return fault.New(fault.Permanent, "order %s after %s: %w", o.id, fact.Type, err)
		}
		o.state, o.text = state, text
	}
	o.own = head{seq: fact.Sequence, id: strings.Clone(fact.ID)}
	if o.trace == "" && fact.TraceParent != "" {
		o.trace = strings.Clone(fact.TraceParent)
	}
	if fact.Sequence == 1 && offset >= 0 {
		o.first = offset
	}
	o.changed = true
	return nil
}

// idle says that nothing of this order is under way, so that it may leave memory.
func (o *order) idle(settled int64) bool {
	return o.entry <= settled && !o.touched && o.lane.empty()
}

// behavior is a Behavior without its type parameter.
type behavior struct {
	name        string
	foldVersion string
	facts       string // own topic
	letters     string // dead-letter topic
	requests    string // what operators ask; heard too
	door        bool   // hears its own topic: a door publishes there
	hears       map[string]map[string]bool
	topics      []string // that it hears, sorted
	react       reactFunc
	evolve      func(any, event.Message) any
	deadline    func(any) (time.Time, bool)
	zero        func() any
	encode      func(any) (string, error)
	decode      func(string) (any, error)
}

// evolved is the state after a fact, and its text. A panic of Evolve or Deadline is an error: an event that causes one is parked
// and does not end the process.
func (b *behavior) evolved(state any, fact event.Message) (after any, text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicked{value: r, stack: debug.Stack()}
		}
	}()
	after = b.evolve(state, fact)
	b.deadline(after)
	text, err = b.encode(after)
	return after, text, err
}

// layout is raised when the meaning of what the cycle itself keeps in Redis changes.
const layout = "7"

func (b Behavior[S]) erase() *behavior {
	var none any = *new(S)
	e := &behavior{
		name:        b.Name,
		foldVersion: layout + "." + strconv.Itoa(b.FoldVersion),
		facts:       FactsTopic(b.Name),
		letters:     deadletter.Topic(b.Name),
		requests:    deadletter.RedriveTopic(b.Name),
		hears:       map[string]map[string]bool{deadletter.RedriveTopic(b.Name): nil},
		react:       b.reactUntyped,
		evolve:      func(s any, m event.Message) any { return b.Evolve(s.(S), m) },
		deadline:    func(any) (time.Time, bool) { return time.Time{}, false },
		zero:        func() any { return none },
		encode:      func(s any) (string, error) { v, err := json.Marshal(s.(S)); return string(v), err },
		decode:      func(v string) (any, error) { var s S; err := json.Unmarshal([]byte(v), &s); return s, err },
	}
	if b.Deadline != nil {
		e.deadline = func(s any) (time.Time, bool) { return b.Deadline(s.(S)) }
	}
	for _, h := range b.Hears {
		types := map[string]bool{}
		for _, t := range h.Types {
			types[t] = true
		}
		e.hears[h.Topic] = types
		e.door = e.door || h.Topic == e.facts
	}
	e.topics = slices.Sorted(maps.Keys(e.hears))
	return e
}

// deadlineID names the local event of a deadline.
func deadlineID(orderID string, at time.Time) string {
	return event.MakeID(orderID, "deadline", at.UTC().Format(time.RFC3339Nano))
}
