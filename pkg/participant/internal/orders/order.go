package orders

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
)

// Order is what a task keeps of one order beside its lane. Nothing in it is part of a record: it is kept for longer.
type Order struct {
	ID    string
	State string     // as the behaviour encodes it; empty: the one before the first fact
	Own   chain.Head // of the facts this task decided or folded
	First int64      // offset of the first fact in the own topic, -1 when unknown
	// Parked are the dead letters of the order, in order.
	Parked []Letter
	// RetryAt is when the participant redrives them by itself; zero: they wait for a person. In whole milliseconds.
	RetryAt time.Time
	Asked   Request // the request about them that is under way, if any
	Trace   string  // ce_traceparent of its first fact that has one: what happens later joins that trace
	Changed bool    // since it was stored

	heads []head // per input topic, the last fact accepted
	seen  seen   // the events answered
}

// Letter is a dead letter in its order's chain. What it says is in the store.
type Letter struct {
	ID       string
	Topic    string // that the event came from
	Redrives int    // that failed
}

// Request is one about dead letters that is under way, so that it resumes after a crash.
type Request struct {
	ID       string
	Redriven int
}

// head is that of one topic's chain.
type head struct {
	topic string
	chain.Head
}

// New returns an order that nobody has seen.
func New(id string) Order { return Order{ID: id, First: -1} }

// LinkOf is the place in its chain that an event names.
func LinkOf(e event.Event) chain.Link {
	return chain.Link{Sequence: e.Sequence, ID: e.ID, PreviousID: e.PreviousID}
}

// Head is the last fact accepted in a topic's chain.
func (o *Order) Head(topic string) chain.Head {
	for i := range o.heads {
		if o.heads[i].topic == topic {
			return o.heads[i].Head
		}
	}
	return chain.Head{}
}

// SetHead moves a chain's head.
func (o *Order) SetHead(topic string, h chain.Head) {
	i := slices.IndexFunc(o.heads, func(h head) bool { return h.topic == topic })
	if i < 0 {
		i = len(o.heads)
		o.heads = append(o.heads, head{topic: topic})
	}
	h.ID = strings.Clone(h.ID) // the record it came with need not be kept
	o.heads[i].Head = h
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

// Adopt moves a head to a letter that the fold met: nobody knows what came after it once the chain is gone.
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
		o.see(id, SeenPlain)
	}
}

// Saw says whether an event is answered.
func (o *Order) Saw(id string) bool { return o.seen.has(id) }

// SeenAs is how an event was answered; empty when it was not.
func (o *Order) SeenAs(id string) string {
	_, _, how := o.seen.find(id)
	return how
}

func (o *Order) see(id, how string) {
	if from, to, before := o.seen.find(id); before != how {
		o.seen = o.seen.without(from, to).add(id, how)
	}
	o.Changed = true
}
