package projection

import (
	"crypto/sha256"
	"encoding/base64"
	"runtime/debug"
	"slices"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// record is an order as it is stored. (Its names in JSON are those that earlier releases gave them.)
type record[D any] struct {
	// Version counts the events folded, so it is the same however they arrived.
	Version uint64 `json:"v,omitempty"`
	// Chains has one chain per topic, in the behaviour's order.
	Chains []chain `json:"c"`
	Doc    D       `json:"d"`
}

// chain is what was accepted from one topic: the head, and the marks of the ids seen.
type chain struct {
	Sequence uint64 `json:"n,omitempty"`
	ID       string `json:"i,omitempty"`
	// Adopted: the chain began with a fact that was not the first.
	Adopted bool `json:"a,omitempty"`
	// Seen holds a mark of markLen bytes per accepted event.
	Seen string `json:"k,omitempty"`
}

const (
	markLen = 6 // 48 bits of SHA-256: two ids of one order never meet by chance
	maxSeen = 64
)

// keep is an id as it is stored: ids that are longer than any of ours, or no text, by their hash.
func keep(id string) string {
	if len(id) <= 64 && utf8.ValidString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func mark(id string) (m [markLen]byte) {
	var buf [64]byte // no id of ours is longer
	sum := sha256.Sum256(append(buf[:0], id...))
	copy(m[:], sum[:])
	return m
}

func (c *chain) saw(id string) bool { return c.Seen != "" && c.marked(mark(id)) }

func (c *chain) marked(m [markLen]byte) bool {
	for i := 0; i+markLen <= len(c.Seen); i += markLen {
		if c.Seen[i:i+markLen] == string(m[:]) {
			return true
		}
	}
	return false
}

// accept moves the head and marks the id. Of very many events of one order and topic only the newest keep their marks. Head and marks are
// one text of their own: that of the event goes with the event.
func (c *chain) accept(e event.Event) {
	id := c.ID
	if e.Sequence > 0 {
		if c.Sequence == 0 {
			c.Adopted = e.Sequence > 1
		}
		c.Sequence, id = e.Sequence, keep(e.ID)
	}
	text := append(append(make([]byte, 0, 128), id...), c.Seen...) // on the stack, mostly
	if m := mark(e.ID); !c.marked(m) {
		text = append(text, m[:]...)
	}
	all := string(text)
	c.ID, c.Seen = all[:len(id)], all[len(id):]
	if n := len(c.Seen) - maxSeen*markLen; n > 0 {
		c.Seen = c.Seen[n:]
	}
}

type judgement int

const (
	valid judgement = iota
	duplicate
	void
	// contradicted: void if the head is right, but the head was adopted; the log's start knows.
	contradicted
)

// judge places an event in its chain. Validity is checked before the id: a void fact and its valid successor can have the
// same id.
func (c *chain) judge(e event.Event) judgement {
	known := c.saw(e.ID)
	switch {
	case e.Sequence == 0, c.Sequence == 0, e.Sequence == c.Sequence+1 && keep(e.PreviousID) == c.ID:
		if known {
			return duplicate
		}
		return valid
	case e.Sequence <= c.Sequence && (known || keep(e.ID) == c.ID):
		return duplicate
	case c.Adopted:
		return contradicted
	}
	return void
}

// order is one order in memory.
type order[D any] struct {
	id  string
	key string // of its document
	record[D]
	changed bool // by the step under way
}

func newOrder[D any](b Behavior[D], id string) *order[D] {
	return &order[D]{id: id, record: record[D]{Chains: make([]chain, len(b.Topics))}}
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
		o.Chains = append(o.Chains, chain{})
	}
	return nil
}

// take folds one event when it is valid. The error says why a body could not be folded; the event counts as folded then.
func (o *order[D]) take(b Behavior[D], source int, e event.Event, at At) (judgement, error) {
	c := &o.Chains[source]
	j := c.judge(e)
	switch j {
	case valid:
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
	case duplicate:
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

// confirm marks adopted heads as checked against the log's start.
func (o *order[D]) confirm() {
	for i := range o.Chains {
		o.Chains[i].Adopted = false
	}
}

// FoldOrder returns the document of one order, and its version, from its records in every topic: what the read model holds
// once it has read them. The records of each topic must be in the order of the log; records of other topics are passed over.
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
