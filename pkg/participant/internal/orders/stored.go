package orders

import (
	"iter"

	"github.com/troupe-dev/troupe/pkg/fault"
	"google.golang.org/protobuf/encoding/protowire"
)

// An order is stored as the message stored.Order. It is written with nearly every event and often read back, so both
// are done here field by field: the generated code takes twice the time to write it, and to read it six times, with 20
// allocations and not 2 (BenchmarkStored).

// Numbers of the fields of stored.Order, Head and Letter. Those of answers (seen, owing, told) follow each other as the
// values of Answer do.
const (
	fieldDecided, fieldState, fieldAfterFirst, fieldTrace, fieldHeads = 1, 2, 3, 4, 5
	fieldAnswers                                                      = 6 - int(Plain)
	fieldParked, fieldRetryMs, fieldRequest, fieldRedriven            = 9, 10, 11, 12
	headSequence, headID, headAdopted, headTopic                      = 1, 2, 3, 4
	letterID, letterTopic, letterRedrives                             = 1, 2, 3
)

// HasFacts is the first byte of a stored order that has facts: field 1, length-delimited.
const HasFacts = "\x0a"

// Append appends the order as it is stored.
func (o *Order) Append(b []byte) []byte {
	if o.own.Sequence > 0 {
		b = appendHead(b, fieldDecided, head{Head: o.own})
	}
	b = appendText(b, fieldState, o.State)
	b = appendNumber(b, fieldAfterFirst, uint64(o.AfterFirst)) //nolint:gosec // 64 bits stay 64 bits
	b = appendText(b, fieldTrace, o.Trace)
	for _, h := range o.heads {
		b = appendHead(b, fieldHeads, h)
	}
	for _, a := range o.answers {
		b = appendField(b, fieldAnswers+int(a.how), a.id)
	}
	for _, l := range o.Parked {
		letter := appendText(appendText(nil, letterID, l.ID), letterTopic, l.Topic)
		letter = appendNumber(letter, letterRedrives, uint64(l.Redrives)) //nolint:gosec // a count
		b = appendField(b, fieldParked, string(letter))
	}
	b = appendNumber(b, fieldRetryMs, uint64(o.RetryMs)) //nolint:gosec // 64 bits stay 64 bits
	b = appendText(b, fieldRequest, o.Request)
	return appendNumber(b, fieldRedriven, uint64(o.Redriven)) //nolint:gosec // a count
}

func appendHead(b []byte, field int, h head) []byte {
	var most [128]byte // on the stack, mostly
	m := appendText(appendNumber(most[:0], headSequence, h.Sequence), headID, h.ID)
	if h.Adopted {
		m = appendNumber(m, headAdopted, 1)
	}
	m = appendText(m, headTopic, h.topic)
	return protowire.AppendBytes(appendTag(b, field, protowire.BytesType), m)
}

func appendTag(b []byte, field int, t protowire.Type) []byte {
	return protowire.AppendTag(b, protowire.Number(field), t) //nolint:gosec // a small constant
}

func appendField(b []byte, field int, text string) []byte {
	return protowire.AppendString(appendTag(b, field, protowire.BytesType), text)
}

// appendText and appendNumber leave out what is zero, as the message has it.
func appendText(b []byte, field int, text string) []byte {
	if text == "" {
		return b
	}
	return appendField(b, field, text)
}

func appendNumber(b []byte, field int, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(appendTag(b, field, protowire.VarintType), n)
}

// Read reads a new order as it is stored; of an empty text, one that nobody has seen. What it holds are parts of the
// text. An error is of class Permanent.
func (o *Order) Read(text string) error {
	err := read(o, text)
	if err != nil {
		return fault.New(fault.Permanent, "order %s is cut off, or of another layout: %w", o.ID, err)
	}
	return nil
}

//nolint:gosec // numbers are as they were written
func read(o *Order, text string) error {
	for f, err := range fields(text) {
		switch f.number {
		case fieldDecided, fieldHeads:
			var h head
			if h, err = readHead(f.text); f.number == fieldDecided {
				o.own = h.Head
			} else {
				o.heads = append(withRoom(o.heads, 2), h)
			}
		case fieldState:
			o.State = f.text
		case fieldAfterFirst:
			o.AfterFirst = int64(f.n)
		case fieldTrace:
			o.Trace = f.text
		case fieldAnswers + int(Plain), fieldAnswers + int(Owing), fieldAnswers + int(Told):
			o.answers = append(withRoom(o.answers, 3), answer{f.text, Answer(f.number - fieldAnswers)})
		case fieldParked:
			var l Letter
			l, err = readLetter(f.text)
			o.Parked = append(o.Parked, l)
		case fieldRetryMs:
			o.RetryMs = int64(f.n)
		case fieldRequest:
			o.Request = f.text
		case fieldRedriven:
			o.Redriven = int(f.n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readHead(text string) (h head, err error) {
	var f field
	for f, err = range fields(text) {
		switch f.number {
		case headSequence:
			h.Sequence = f.n
		case headID:
			h.ID = f.text
		case headAdopted:
			h.Adopted = f.n != 0
		case headTopic:
			h.topic = f.text
		}
	}
	return h, err
}

func readLetter(text string) (l Letter, err error) {
	var f field
	for f, err = range fields(text) {
		switch f.number {
		case letterID:
			l.ID = f.text
		case letterTopic:
			l.Topic = f.text
		case letterRedrives:
			l.Redrives = int(f.n) //nolint:gosec // a count
		}
	}
	return l, err
}

// field of a message: a number or a text.
type field struct {
	number int
	n      uint64
	text   string
}

// fields are those of a message, in order. The last comes with an error where the message is cut off.
func fields(message string) iter.Seq2[field, error] {
	return func(yield func(field, error) bool) {
		for rest := message; rest != ""; {
			b := []byte(rest) // not copied: it is only looked at
			number, typ, begin := protowire.ConsumeTag(b)
			f, size := field{number: int(number)}, begin
			switch {
			case begin < 0:
			case typ == protowire.VarintType:
				f.n, size = protowire.ConsumeVarint(b[begin:])
			case typ == protowire.BytesType:
				var text []byte
				text, size = protowire.ConsumeBytes(b[begin:])
				if end := begin + size; size >= 0 {
					f.text = rest[end-len(text) : end]
				}
			default:
				size = -1 // no field of ours
			}
			if size < 0 {
				yield(field{}, protowire.ParseError(size))
				return
			}
			if rest = rest[begin+size:]; !yield(f, nil) {
				return
			}
		}
	}
}
