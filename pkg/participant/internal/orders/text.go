package orders

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/pack"
)

// Fields of an order's text: each is a name and a value, both packed. That it has facts is the first: the door's
// script looks for it there.
const (
	fieldOwn    = "own"
	fieldState  = "state"
	fieldFirst  = "first"
	fieldParked = "parked"
	fieldRetry  = "retry"
	fieldAsked  = "asked"
	fieldTrace  = "trace"
	prefixHead  = "head:"
)

// OwnFirst is what the text of an order with facts begins with.
var OwnFirst = string(pack.Text(nil, fieldOwn))

const adoptedMark = " adopted"

// appendHead writes a chain's head as it is kept.
func appendHead(b []byte, h chain.Head) []byte {
	b = append(append(strconv.AppendUint(b, h.Sequence, 10), ' '), h.ID...)
	if h.Adopted {
		b = append(b, adoptedMark...)
	}
	return b
}

func parseHead(s string) (chain.Head, error) {
	seq, id, _ := strings.Cut(s, " ")
	id, adopted := strings.CutSuffix(id, adoptedMark)
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return chain.Head{}, fault.New(fault.Permanent, "chain head %q has no sequence", s)
	}
	if id == "" && n > 0 {
		return chain.Head{}, fault.New(fault.Permanent, "chain head %q is not a sequence and an id", s)
	}
	return chain.Head{Sequence: n, ID: id, Adopted: adopted}, nil
}

// Append appends the order's text.
func (o *Order) Append(b []byte) []byte {
	var number [128]byte // on the stack
	if o.Own.Sequence > 0 {
		b = pack.Bytes(pack.Text(b, fieldOwn), appendHead(number[:0], o.Own))
	}
	if o.State != "" {
		b = pack.Text(pack.Text(b, fieldState), o.State)
	}
	if o.First >= 0 {
		b = pack.Bytes(pack.Text(b, fieldFirst), strconv.AppendInt(number[:0], o.First, 10))
	}
	if o.Trace != "" {
		b = pack.Text(pack.Text(b, fieldTrace), o.Trace)
	}
	for i := range o.heads {
		b = pack.Bytes(named(b, prefixHead, o.heads[i].topic), appendHead(number[:0], o.heads[i].Head))
	}
	b = append(b, o.seen...)
	if len(o.Parked) > 0 {
		b = pack.Text(pack.Text(b, fieldParked), formatParked(o.Parked))
	}
	if !o.RetryAt.IsZero() {
		b = pack.Bytes(pack.Text(b, fieldRetry), strconv.AppendInt(number[:0], o.RetryAt.UnixMilli(), 10))
	}
	if o.Asked.ID != "" {
		asked, _ := json.Marshal(o.Asked) // plain data, cannot fail
		b = pack.Bytes(pack.Text(b, fieldAsked), asked)
	}
	return b
}

// Read reads a new order from its text; an empty one is an order nobody has seen.
func (o *Order) Read(text string) error {
	r := pack.Read(text)
	for !r.Ended() {
		name, value := r.Text(), r.Text()
		if r.Err() != nil {
			return fault.New(fault.Permanent, "order %s is cut off, or of another layout", o.ID)
		}
		if err := o.readField(name, value); err != nil {
			return fmt.Errorf("order %s, field %s: %w", o.ID, name, err)
		}
	}
	return nil
}

func (o *Order) readField(name, value string) (err error) {
	switch name {
	case fieldOwn:
		o.Own, err = parseHead(value)
	case fieldState:
		o.State = value
	case fieldFirst:
		o.First, err = strconv.ParseInt(value, 10, 64)
	case fieldTrace:
		o.Trace = value
	case fieldParked:
		o.Parked, err = parseParked(value)
	case fieldRetry:
		var ms int64
		ms, err = strconv.ParseInt(value, 10, 64)
		o.RetryAt = time.UnixMilli(ms)
	case fieldAsked:
		err = json.Unmarshal([]byte(value), &o.Asked)
	default:
		if id, ok := strings.CutPrefix(name, prefixSeen); ok {
			o.seen = o.seen.add(id, value)
		} else if topic, ok := strings.CutPrefix(name, prefixHead); ok {
			h := head{topic: topic}
			h.Head, err = parseHead(value)
			o.heads = append(o.heads, h)
		}
	}
	return err
}
