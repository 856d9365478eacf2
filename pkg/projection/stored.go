package projection

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"unicode/utf8"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/pack"
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

// storedForm is that in which orders are stored: this number, the version, the chains, and to the end the document.
const storedForm = 1

var errForm = errors.New("it is in no form that this release knows")

// append packs an order.
func (b Behavior[D]) append(text []byte, r *record[D]) ([]byte, error) {
	text = pack.Int(pack.Int(text, storedForm), int64(r.Version)) //nolint:gosec // counts events
	text = pack.Int(text, int64(len(r.Chains)))
	for i := range r.Chains {
		c := &r.Chains[i]
		adopted := int64(0)
		if c.Adopted {
			adopted = 1
		}
		text = pack.Int(pack.Int(text, int64(c.Sequence)), adopted) //nolint:gosec // 64 bits stay 64 bits
		text = pack.Text(pack.Text(text, c.ID), c.Seen)
	}
	if b.Append != nil {
		return b.Append(text, r.Doc), nil
	}
	doc, err := json.Marshal(r.Doc)
	return append(text, doc...), err
}

// parse reads an order into r, whose chains are lent: as many as there are topics. Its texts are parts of the text.
func (b Behavior[D]) parse(text string, r *record[D]) error {
	p := pack.Read(text)
	if p.Int() != storedForm {
		return errForm
	}
	r.Version = uint64(p.Int()) //nolint:gosec // as it was written
	n := p.Len()
	for i := range n {
		//nolint:gosec // as it was written
		c := section{Sequence: uint64(p.Int()), Adopted: p.Int() != 0, ID: p.Text(), Seen: p.Text()}
		if i < len(r.Chains) {
			r.Chains[i] = c
		} else {
			r.Chains = append(r.Chains, c) // of a topic that is not known here: for the caller to judge
		}
	}
	doc := p.Rest()
	if p.Err() != nil {
		return p.Err()
	}
	var err error
	if b.Parse != nil {
		r.Doc, err = b.Parse(doc)
	} else {
		err = json.Unmarshal([]byte(doc), &r.Doc)
	}
	return err
}
