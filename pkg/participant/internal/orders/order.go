package orders

import (
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/stored"
	"google.golang.org/protobuf/proto"
)

// Order is what a task knows of one order beside its queue. Nothing in it is part of a record: it is kept for longer.
// It must not be copied.
type Order struct {
	stored.Order
	ID      string
	Changed bool // since it was stored

	// Room for what nearly every order has: orders in memory are many.
	own   stored.Head
	heads [2]*stored.Head
	few   [3]string
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

// HasFacts is the first byte of a stored order that has facts: field 1, length-delimited.
const HasFacts = "\x0a"

// Append appends the order as it is stored.
func (o *Order) Append(b []byte) []byte {
	b, _ = proto.MarshalOptions{}.MarshalAppend(b, &o.Order) // without required fields and text, it cannot fail
	return b
}

// Read reads a new order as it is stored; of an empty text, one that nobody has seen. An error is of class Permanent.
func (o *Order) Read(text string) error {
	if err := proto.Unmarshal([]byte(text), &o.Order); err != nil {
		return fault.New(fault.Permanent, "order %s is cut off, or of another layout: %w", o.ID, err)
	}
	return nil
}

// LinkOf is the place in its chain that an event names.
func LinkOf(e event.Event) chain.Link {
	return chain.Link{Sequence: e.Sequence, ID: e.ID, PreviousID: e.PreviousID}
}

func headOf(h *stored.Head) chain.Head {
	return chain.Head{Sequence: h.GetSequence(), ID: h.GetId(), Adopted: h.GetAdopted()}
}

// set moves a head. The record that its id came with need not be kept.
func set(h *stored.Head, to chain.Head) {
	h.Sequence, h.Id, h.Adopted = to.Sequence, strings.Clone(to.ID), to.Adopted
}

// Own is the last fact that this task decided or folded.
func (o *Order) Own() chain.Head { return headOf(o.Decided) }

// Decide moves the head of the facts that this task decides.
func (o *Order) Decide(h chain.Head) {
	if o.Decided == nil {
		o.Decided = &o.own
	}
	set(o.Decided, h)
	o.Changed = true
}

// First is the offset of the first fact in the own topic, -1: not known.
func (o *Order) First() int64 { return o.AfterFirst - 1 }

// Head is the last fact accepted in a topic's chain.
func (o *Order) Head(topic string) chain.Head { return headOf(o.find(topic)) }

func (o *Order) find(topic string) *stored.Head {
	for _, h := range o.Heads {
		if h.Topic == topic {
			return h
		}
	}
	return nil
}

// SetHead moves a chain's head.
func (o *Order) SetHead(topic string, to chain.Head) {
	h := o.find(topic)
	if h == nil {
		if o.Heads == nil {
			o.Heads = o.heads[:0]
		}
		h = &stored.Head{Topic: topic}
		o.Heads = append(o.Heads, h)
	}
	set(h, to)
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
	for _, h := range o.Heads {
		if h.Adopted {
			set(h, chain.Forgotten())
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
	switch {
	case slices.Contains(o.Seen, id):
		return Plain
	case slices.Contains(o.Told, id):
		return Told
	case slices.Contains(o.Owing, id):
		return Owing
	}
	return Unanswered
}

func (o *Order) see(id string, how Answer) {
	if o.Seen == nil {
		o.Seen = o.few[:0]
	}
	lists := [...]*[]string{Plain: &o.Seen, Owing: &o.Owing, Told: &o.Told}
	switch was := o.SeenAs(id); was {
	case how:
		return
	case Unanswered:
	default:
		i := slices.Index(*lists[was], id)
		*lists[was] = slices.Delete(*lists[was], i, i+1)
	}
	*lists[how] = append(*lists[how], strings.Clone(id))
	o.Changed = true
}
