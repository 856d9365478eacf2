package projection

import (
	"runtime/debug"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// order is one order in memory.
type order[D any] struct {
	id  string
	key string // of its document
	record[D]
	changed bool // by the step under way
}

func newOrder[D any](b Behavior[D], id string) *order[D] {
	return &order[D]{id: id, record: record[D]{Chains: make([]section, len(b.Topics))}}
}

// loadOrder reads a stored order; an empty text is an order nobody has seen.
func loadOrder[D any](b Behavior[D], id, stored string) (*order[D], error) {
	o := newOrder(b, id)
	return o, o.load(b, stored)
}

// load fills an order that nobody has seen with what is stored of it.
func (o *order[D]) load(b Behavior[D], stored string) error {
	if stored == "" {
		return nil
	}
	if err := b.parse(stored, &o.record); err != nil {
		return fault.New(fault.Permanent, "document of order %s: %w", o.id, err)
	}
	if len(o.Chains) > len(b.Topics) {
		return fault.New(fault.Permanent, "document of order %s has %d chains, not %d", o.id, len(o.Chains), len(b.Topics))
	}
	for len(o.Chains) < len(b.Topics) { // folded before there were so many topics
		o.Chains = append(o.Chains, section{})
	}
	return nil
}

// take folds one event when it is valid. The error says why a body could not be folded; the event counts as folded
// then.
func (o *order[D]) take(b Behavior[D], source int, e event.Event, at At) (chain.Verdict, error) {
	c := &o.Chains[source]
	j := c.judge(e)
	switch j {
	case chain.Valid:
		m, err := event.Decode(e)
		if err != nil {
			m = event.Message{Event: e}
		}
		doc, panicked := b.fold(o.Doc, m, at)
		if panicked != nil {
			err = panicked
		}
		o.Doc = doc
		o.Version++
		c.accept(e)
		o.changed = true
		return j, err
	case chain.Duplicate:
		if e.Sequence > c.Sequence {
			c.accept(e)
			o.changed = true
		}
	}
	return j, nil
}

// fold calls Fold; a panic leaves the document as it was, so that one event cannot stop its partition.
func (b Behavior[D]) fold(doc D, m event.Message, at At) (after D, err error) {
	defer func() {
		if r := recover(); r != nil {
			after, err = doc, fault.New(fault.Permanent, "fold of %s panicked: %v\n%s", m.Type, r, debug.Stack())
		}
	}()
	return b.Fold(doc, m, at), nil
}

// takeNote folds one record of a topic of notes; it is of no order (nil) when it cannot be read.
func (o *order[D]) takeNote(b Behavior[D], r *broker.Record) error {
	_, fold, err := b.note(r)
	if err == nil {
		err = o.note(fold)
	}
	return err
}

// note folds a note into its document; a panic leaves that as it was.
func (o *order[D]) note(fold func(D) D) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Permanent, "fold of a note panicked: %v\n%s", p, debug.Stack())
		}
	}()
	o.Doc = fold(o.Doc)
	o.Version++
	o.changed = true
	return nil
}

// confirm marks adopted heads as checked against the log's start.
func (o *order[D]) confirm() {
	for i := range o.Chains {
		o.Chains[i].Adopted = false
	}
}

// FoldOrder returns the document of one order, and its version, from its records in every topic: what the read
// model holds once it has read them. The records of each topic must be in the order of the log; records of other
// topics are passed over.
func (b Behavior[D]) FoldOrder(records []broker.Record) (doc D, version uint64) {
	o := newOrder(b, "")
	for _, r := range records {
		s := slices.Index(b.Topics, r.Topic)
		e, err := event.FromRecord(r)
		if s < 0 || err != nil {
			continue
		}
		_, _ = o.take(b, s, e, At{broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}, r.Offset})
	}
	return o.Doc, o.Version
}
