package participant

import (
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

const adoptedMark = " adopted"

// appendHead writes a chain's head as it is kept.
func appendHead(b []byte, h chain.Head) []byte {
	b = append(append(strconv.AppendUint(b, h.Sequence, 10), ' '), h.ID...)
	if h.Adopted {
		b = append(b, adoptedMark...)
	}
	return b
}

func parseHead(s string) (chain.Head, error) {
	seq, id, _ := strings.Cut(s, " ")
	id, adopted := strings.CutSuffix(id, adoptedMark)
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return chain.Head{}, fault.New(fault.Permanent, "chain head %q has no sequence", s)
	}
	if id == "" && n > 0 {
		return chain.Head{}, fault.New(fault.Permanent, "chain head %q is not a sequence and an id", s)
	}
	return chain.Head{Sequence: n, ID: id, Adopted: adopted}, nil
}

// linkOf is the place in its chain that an event names.
func linkOf(e event.Event) chain.Link {
	return chain.Link{Sequence: e.Sequence, ID: e.ID, PreviousID: e.PreviousID}
}

// order is what a task knows of one order: its state, and per source the head of the chain it accepted. It lives in memory while
// something is under way and is loaded from Redis otherwise. Nothing in it is part of a record: it is kept for longer.
type order struct {
	id     string
	state  any
	text   string     // of the state
	own    chain.Head // of the facts this task decided or folded
	first  int64      // offset of the first fact in the own topic, -1 when unknown
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
	chain.Head
}

func newOrder(id string, zero any) *order { return &order{id: id, state: zero, first: -1} }

// judge places an event that arrived from a topic in its chain.
func (o *order) judge(topic string, e event.Event) chain.Verdict {
	return o.head(topic).Judge(linkOf(e), o.saw(e.ID) || o.waits(e.ID))
}

// head is the last fact accepted in a topic's chain.
func (o *order) head(topic string) chain.Head {
	for i := range o.heads {
		if o.heads[i].topic == topic {
			return o.heads[i].Head
		}
	}
	return chain.Head{}
}

// setHead moves a chain's head.
func (o *order) setHead(topic string, h chain.Head) {
	i := slices.IndexFunc(o.heads, func(h heard) bool { return h.topic == topic })
	if i < 0 {
		i = len(o.heads)
		o.heads = append(o.heads, heard{topic: topic})
	}
	h.ID = strings.Clone(h.ID) // the record it came with need not be kept
	o.heads[i].Head = h
	o.changed = true
}

// moved remembers that what was delivered is accepted: answered, parked or found a duplicate.
func (o *order) moved(d *delivery) {
	before := o.head(d.topic())
	if h := before.Accept(linkOf(d.ev), d.src != nil && d.src.FromStart); h != before {
		o.setHead(d.topic(), h)
	}
}

// adopt moves a head to a letter that the fold met: nobody knows what came after it once the chain is gone.
func (o *order) adopt(topic string, e event.Event) {
	before := o.head(topic)
	if h := before.Accept(linkOf(e), false); h != before {
		h.Adopted = true
		o.setHead(topic, h)
	}
}

// forgetAdopted forgets the heads that were taken on trust.
func (o *order) forgetAdopted() {
	for i := range o.heads {
		if o.heads[i].Adopted {
			o.heads[i].Head = chain.Forgotten()
		}
	}
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

// evolve folds one fact of the own topic into the state and moves the decided head.
func (o *order) evolve(b *behavior, fact event.Message, offset int64) error {
	if fact.Body != nil {
		state, text, err := b.evolved(o.state, fact)
		if err != nil {
			return fault.New(fault.Permanent, "order %s after %s: %w", o.id, fact.Type, err)
		}
		o.state, o.text = state, text
	}
	o.own = chain.Head{Sequence: fact.Sequence, ID: strings.Clone(fact.ID)}
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
