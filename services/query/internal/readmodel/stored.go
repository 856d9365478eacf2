package readmodel

import (
	"errors"

	"github.com/troupe-dev/troupe/pkg/pack"
)

// What a stored document begins with: the form that it is in. A document that gets another field gets another form and another fold version,
// and the one before is read until nothing is folded on from there (Continues).
const (
	formOrder = 1
	formNotes = 3
)

var bit = map[bool]int{true: 1}

// Append adds a document to what is stored: much shorter than JSON, and without a name looked for.
func Append(text []byte, d Document) []byte {
	if len(d.Notes) > 0 {
		text = pack.Int(pack.Int(text, formNotes), int64(d.Updated))
		text = pack.Int(text, int64(len(d.Notes)))
		for _, n := range d.Notes {
			text = pack.Int(pack.Int(text, n.Offset), int64(bit[n.Retried]))
		}
		return text
	}
	text = pack.Int(text, formOrder)
	text = d.Order.append(text)
	text = d.Payment.append(text)
	text = pack.Int(text, int64(len(d.Mails)))
	for _, m := range d.Mails {
		text = pack.Text(pack.Text(text, m.Kind), m.MessageID)
		text = pack.Text(pack.Int(text, int64(m.Sent)), m.Reason)
	}
	text = pack.Int(text, int64(d.Updated))
	text = pack.Int(text, int64(len(d.Events)))
	for _, l := range d.Events {
		text = pack.Int(pack.Int(text, l[0]), l[1])
	}
	return text
}

func (o Order) append(text []byte) []byte {
	text = pack.Text(pack.Text(text, o.Customer), o.Currency)
	text = pack.Int(text, o.Total)
	text = pack.Int(text, int64(len(o.Lines)))
	for _, l := range o.Lines {
		text = pack.Text(pack.Text(text, l.SKU), l.Name)
		text = pack.Int(pack.Int(text, int64(l.Quantity)), l.UnitPrice)
	}
	text = pack.Int(pack.Int(text, int64(o.Placed)), int64(o.Confirmed))
	text = pack.Int(pack.Int(text, int64(o.Requested)), int64(o.Cancelled))
	return pack.Text(text, o.Reason)
}

func (p Payment) append(text []byte) []byte {
	text = pack.Text(pack.Text(text, p.Intent), p.Refund)
	text = pack.Text(pack.Int(text, p.Amount), p.Currency)
	text = pack.Int(pack.Text(text, p.Reason), int64(p.Succeeded))
	return pack.Int(pack.Int(text, int64(p.Declined)), int64(p.Refunded))
}

var errForm = errors.New("the document is in no form that is known")

// Parse reads what Append wrote. The document's texts are parts of it.
func Parse(text string) (d Document, err error) {
	r := pack.Read(text)
	switch r.Int() {
	case formNotes:
		d.Updated = Moment(r.Int())
		d.Notes = make([]Note, r.Len())
		for i := range d.Notes {
			d.Notes[i] = Note{Offset: r.Int(), Retried: r.Int() == 1}
		}
		return d, r.Err()
	case formOrder:
	default:
		return d, errForm
	}
	d.Order.read(r)
	d.Payment.read(r)
	if n := r.Len(); n > 0 {
		d.Mails = make([]Mail, n)
	}
	for i := range d.Mails {
		d.Mails[i] = Mail{Kind: r.Text(), MessageID: r.Text(), Sent: Moment(r.Int()), Reason: r.Text()}
	}
	d.Updated = Moment(r.Int())
	if n := r.Len(); n > 0 {
		d.Events = make([]Location, n)
	}
	for i := range d.Events {
		d.Events[i] = Location{r.Int(), r.Int()}
	}
	return d, r.Err()
}

func (o *Order) read(r *pack.Reader) {
	o.Customer, o.Currency, o.Total = r.Text(), r.Text(), r.Int()
	if n := r.Len(); n > 0 {
		o.Lines = make([]Line, n)
	}
	for i := range o.Lines {
		o.Lines[i] = Line{SKU: r.Text(), Name: r.Text(), Quantity: int32(r.Int()), UnitPrice: r.Int()} //nolint:gosec // as it was written
	}
	o.Placed, o.Confirmed = Moment(r.Int()), Moment(r.Int())
	o.Requested, o.Cancelled, o.Reason = Moment(r.Int()), Moment(r.Int()), r.Text()
}

func (p *Payment) read(r *pack.Reader) {
	p.Intent, p.Refund, p.Amount, p.Currency = r.Text(), r.Text(), r.Int(), r.Text()
	p.Reason, p.Succeeded, p.Declined, p.Refunded = r.Text(), Moment(r.Int()), Moment(r.Int()), Moment(r.Int())
}
