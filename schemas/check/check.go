// Package check judges whether a troupe kept its promises, by the contracts alone: it shares no code with what it
// judges. It takes the records of the log as they come; once everything is at rest, [Checker.Judge] holds the whole log,
// the gateway's ledger, the mailbox and the read model against each other and against what customers were promised.
//
// What may follow what is in choreography.yaml. What else must be true is in Rules.
package check

import (
	"iter"

	"github.com/troupe-dev/troupe/schemas/choreography"
)

// Record is one record of the log, as any consumer reads it.
type Record struct {
	Topic      string
	Partition  int
	Offset     int64
	Key, Value []byte
	Headers    iter.Seq2[string, []byte]
}

// PoisonHeader marks records that were appended from outside to be in the way. They are no facts, and to be parked by
// the participants that its value lists, separated by commas; by nobody, when it says so.
const PoisonHeader = "poison"

const nobody = "nobody"

// Checker holds what was read of the log. It is not safe for use by several goroutines at once.
type Checker struct {
	choreography *choreography.Choreography
	partition    func(key []byte) int
	kinds        map[string]kind // by topic
	orders       map[string]*Order
	records      int               // of facts and requests, copies too
	poison       map[string]string // who must park it, by its place
	broken       []Violation       // records that are no events
}

// kind is what a topic holds.
type kind int

const (
	facts kind = iota + 1
	letters
	requests
)

// New returns a checker that has read nothing. partition says where the records of a key belong.
func New(c *choreography.Choreography, partition func(key []byte) int) *Checker {
	k := &Checker{
		choreography: c, partition: partition,
		kinds: map[string]kind{}, orders: map[string]*Order{}, poison: map[string]string{},
	}
	for name, p := range c.Participants {
		k.kinds[p.Topic], k.kinds[LettersTopic(name)], k.kinds[RequestsTopic(name)] = facts, letters, requests
	}
	return k
}

// LettersTopic is where a participant keeps its dead letters and what became of them.
func LettersTopic(participant string) string { return participant + ".dead-letters.v1" }

// RequestsTopic is where operators ask a participant to bring dead letters back.
func RequestsTopic(participant string) string { return participant + ".redrive.v1" }

// Take takes in a record; those of a partition in their order, partitions as they come. It keeps nothing of the
// record's memory. The order is nil where it is not about one: poison, what is no event, other topics.
func (k *Checker) Take(r Record) *Order {
	switch k.kinds[r.Topic] {
	case facts:
		k.records++
		return k.event(r)
	case letters:
		o := k.order(string(r.Key))
		o.letters = append(o.letters, controlOf(r))
		return o
	case requests:
		o := k.order(string(r.Key))
		o.requests = append(o.requests, controlOf(r))
		return o
	}
	return nil
}

func (k *Checker) event(r Record) *Order {
	if by := headers(r)[PoisonHeader]; by != "" {
		k.poison[place(r.Topic, r.Partition, r.Offset)] = by
		return nil
	}
	e, err := read(r)
	if err != nil {
		k.broken = append(k.broken, noEvent.violation(string(r.Key), "%v", err))
		return nil
	}
	if r.Partition != k.partition(r.Key) {
		k.broken = append(k.broken, misplaced.violation(e.OrderID,
			"%s does not lie in the partition of its key, where its order is kept", e))
	}
	o := k.order(e.OrderID)
	o.events, o.known = append(o.events, e), nil
	return o
}

func (k *Checker) order(id string) *Order {
	o := k.orders[id]
	if o == nil {
		o = &Order{ID: id, k: k}
		k.orders[id] = o
	}
	return o
}

// Order returns what was read of an order, which may be nothing.
func (k *Checker) Order(id string) *Order {
	if o := k.orders[id]; o != nil {
		return o
	}
	return &Order{ID: id, k: k}
}
