package orders

import (
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
)

// Order is what a task knows of one order beside its queue. Nothing in it is part of a record: it is kept for longer.
type Order struct {
	ID      string
	Changed bool // since it was stored

	// State is the behaviour's, as JSON; empty: the one before the first fact.
	State string
	// Trace is the ce_traceparent of its first fact that has one: what happens later joins that trace.
	Trace string
	// AfterFirst is the offset of the first fact in the own topic, plus one; 0: not known.
	AfterFirst int64

	// Parked are the dead letters that wait, in order. RetryMs is when the participant redrives them by itself, in Unix
	// milliseconds; 0: they wait for a person.
	Parked  []Letter
	RetryMs int64
	// Request about them that is under way, and how many of them it brought back; empty: none.
	Request  string
	Redriven int

	own     chain.Head
	heads   []head
	answers []answer
}

// Letter is a dead letter in its order's chain. What it says is in the store.
type Letter struct {
	ID    string
	Topic string // that the event came from
	// Redrives that failed.
	Redrives int
}

// head of the chain in a topic that is subscribed to.
type head struct {
	topic string
	chain.Head
}

// answer is the idempotency key of an event that was answered.
type answer struct {
	id  string
	how Answer
}

// Answer says how an event was answered.
type Answer int

const (
	// Unanswered: it was not.
	Unanswered Answer = iota
	// Plain: it was, and that is all.
	Plain
	// Owing: a dead letter that a request answered, and of which it will tell the outcome.
	Owing
	// Told: a dead letter of which the outcome is told.
	Told
)

// LinkOf is the place in its chain that an event names.
func LinkOf(e event.Event) chain.Link {
	return chain.Link{Sequence: e.Sequence, ID: e.ID, PreviousID: e.PreviousID}
}

// Own is the last fact that this task decided or folded.
func (o *Order) Own() chain.Head { return o.own }

// Decide moves the head of the facts that this task decides.
func (o *Order) Decide(h chain.Head) {
	h.ID = strings.Clone(h.ID) // the record that it came with need not be kept
	o.own, o.Changed = h, true
}

// First is the offset of the first fact in the own topic, -1: not known.
func (o *Order) First() int64 { return o.AfterFirst - 1 }

// Head is the last fact accepted in a topic's chain.
func (o *Order) Head(topic string) chain.Head {
	if i := find(o.heads, topic); i >= 0 {
		return o.heads[i].Head
	}
	return chain.Head{}
}

func find(heads []head, topic string) int {
	return slices.IndexFunc(heads, func(h head) bool { return h.topic == topic })
}

// SetHead moves a chain's head.
func (o *Order) SetHead(topic string, to chain.Head) {
	to.ID = strings.Clone(to.ID)
	if i := find(o.heads, topic); i >= 0 {
		o.heads[i].Head = to
	} else {
		o.heads = append(withRoom(o.heads, 2), head{topic, to})
	}
	o.Changed = true
}

// Accept remembers that an event of a topic is accepted: answered, parked or found a duplicate. fromStart: see
// chain.Head.
func (o *Order) Accept(topic string, e event.Event, fromStart bool) {
	before := o.Head(topic)
	if h := before.Accept(LinkOf(e), fromStart); h != before {
		o.SetHead(topic, h)
	}
}

// Adopt moves a head to a dead letter that the fold met: nobody knows what came after it once the chain is gone.
func (o *Order) Adopt(topic string, e event.Event) {
	before := o.Head(topic)
	if h := before.Accept(LinkOf(e), false); h != before {
		h.Adopted = true
		o.SetHead(topic, h)
	}
}

// ForgetAdopted forgets the heads that were taken on trust.
func (o *Order) ForgetAdopted() {
	for i := range o.heads {
		if o.heads[i].Adopted {
			o.heads[i].Head = chain.Forgotten()
		}
	}
	o.Changed = true
}

// Answered remembers an event by its id: its idempotency key.
func (o *Order) Answered(id string) {
	if id != "" && !o.Saw(id) {
		o.see(id, Plain)
	}
}

// Saw says whether an event is answered.
func (o *Order) Saw(id string) bool { return o.SeenAs(id) != Unanswered }

// SeenAs is how an event was answered.
func (o *Order) SeenAs(id string) Answer {
	for _, a := range o.answers {
		if a.id == id {
			return a.how
		}
	}
	return Unanswered
}

func (o *Order) see(id string, how Answer) {
	i := slices.IndexFunc(o.answers, func(a answer) bool { return a.id == id })
	switch {
	case i < 0:
		if h := slices.IndexFunc(o.heads, func(h head) bool { return h.ID == id }); h >= 0 {
			id = o.heads[h].ID // mostly the event was accepted just now, and its id is here already
		} else {
			id = strings.Clone(id)
		}
		o.answers = append(withRoom(o.answers, 3), answer{id, how})
	case o.answers[i].how == how:
		return
	default:
		o.answers[i].how = how
	}
	o.Changed = true
}

// withRoom is a list, with memory for as much as most orders have.
func withRoom[T any](list []T, n int) []T {
	if list == nil {
		return make([]T, 0, n)
	}
	return list
}
