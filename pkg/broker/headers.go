package broker

import (
	"encoding/binary"
	"iter"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker/internal/wire"
)

// Headers are those of one record, in order, as they are on the wire behind their number: of each the key and the
// value, with their lengths before them as varints, where -1 is null. Keys may repeat; nil is none.
//
// They are not a list because the dozen that a record has would be the largest thing that is allocated for it, with two
// pointers each for the garbage collector to follow: see package wire for what that costs.
type Headers []byte

// HeadersOf makes headers of keys and values in turn.
func HeadersOf(pairs ...string) (h Headers) {
	for i := 0; i < len(pairs); i += 2 {
		h = h.Append(pairs[i], []byte(pairs[i+1]))
	}
	return slices.Clip(h)
}

// Append adds a header at the end. A nil value is null, which is not an empty one. As append does, it writes behind h
// where there is room; behind the headers of a record that was read there is none.
func (h Headers) Append(key string, value []byte) Headers {
	return wire.AppendHeader(slices.Grow(h, len(key)+len(value)+2*binary.MaxVarintLen32), key, value)
}

// All are the keys and values, as views of h: whoever keeps one longer than its record clones it.
func (h Headers) All() iter.Seq2[string, []byte] {
	return func(yield func(key string, value []byte) bool) {
		for rest := []byte(h); len(rest) > 0; {
			key, value, after, ok := wire.CutHeader(rest)
			if !ok || !yield(key, value) {
				return
			}
			rest = after
		}
	}
}

// Last is the last value of a key, a view of h.
func (h Headers) Last(key string) (value []byte, ok bool) {
	for k, v := range h.All() {
		if k == key {
			value, ok = v, true
		}
	}
	return value, ok
}

// Without is a copy that lacks the headers of some keys.
func (h Headers) Without(lacks func(key string) bool) (rest Headers) {
	for key, value := range h.All() {
		if !lacks(key) {
			rest = rest.Append(key, value)
		}
	}
	return slices.Clip(rest)
}

// Valid says whether h can be read to its end. What was made here, or came in a record, can; what was kept in a store
// may not.
func (h Headers) Valid() bool {
	rest, ok := []byte(h), true
	for ok && len(rest) > 0 {
		_, _, rest, ok = wire.CutHeader(rest)
	}
	return ok
}
