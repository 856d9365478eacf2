package projection

import (
	"errors"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/pack"
)

// storedForm is that in which orders are stored: this number, the version, the chains, and to the end the document.
const storedForm = 1

var errForm = errors.New("it is in no form that this release knows")

// append packs an order.
func (b Behavior[D]) append(text []byte, r *record[D]) ([]byte, error) {
	text = pack.Int(pack.Int(pack.Int(text, storedForm), int64(r.Version)), int64(len(r.Chains))) //nolint:gosec // counts events
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
