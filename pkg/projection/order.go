package projection

import (
	"crypto/sha256"
	"encoding/base64"
	"runtime/debug"
	"slices"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// record is an order as it is stored.
type record[D any] struct {
	// Version counts the events folded, so it is the same however they arrived.
	Version uint64
	// Chains has one section per topic, in the behaviour's order.
	Chains []section
	Doc    D
}

// section is what was accepted from one topic: the chain's head (chain.Head), and the marks of the ids seen.
type section struct {
	Sequence uint64
	ID       string
	Adopted  bool
	// Seen holds a mark of markLen bytes per accepted event.
	Seen string
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

func (c *section) head() chain.Head {
	return chain.Head{Sequence: c.Sequence, ID: c.ID, Adopted: c.Adopted}
}

// linkOf is the place in its chain that an event names, by ids as they are stored.
func linkOf(e event.Event) chain.Link {
	return chain.Link{Sequence: e.Sequence, ID: keep(e.ID), PreviousID: keep(e.PreviousID)}
}

func (c *section) saw(id string) bool { return c.Seen != "" && c.marked(mark(id)) }

func (c *section) marked(m [markLen]byte) bool {
	for i := 0; i+markLen <= len(c.Seen); i += markLen {
		if c.Seen[i:i+markLen] == string(m[:]) {
			return true
		}
	}
	return false
}

// fromStart: a projection begins at the log's start, and its positions are stored with its documents, so that it has
// met and kept all that the log held before an event.
const fromStart = true

// accept moves the head and marks the id. Of very many events of one order and topic only the newest keep their
// marks. Head and marks are one text of their own: that of the event goes with the event.
func (c *section) accept(e event.Event) {
	h := c.head().Accept(linkOf(e), fromStart)
	c.Sequence, c.Adopted = h.Sequence, h.Adopted
	text := append(append(make([]byte, 0, 128), h.ID...), c.Seen...) // on the stack, mostly
	if m := mark(e.ID); !c.marked(m) {
		text = append(text, m[:]...)
	}
	all := string(text)
	c.ID, c.Seen = all[:len(h.ID)], all[len(h.ID):]
	if n := len(c.Seen) - maxSeen*markLen; n > 0 {
		c.Seen = c.Seen[n:]
	}
}

// judge places an event in its chain.
func (c *section) judge(e event.Event) chain.Verdict { return c.head().Judge(linkOf(e), c.saw(e.ID)) }

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
