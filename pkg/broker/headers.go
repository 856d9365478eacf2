package broker

import (
	"iter"
	"slices"
	"unsafe"
)

// Headers are those of one record, in order, as they stand in it on the wire behind their number: of each the key and the value, with
// their lengths before them as varints, where -1 is null. As a list, the dozen that a record has would be the largest thing that is
// allocated for it, with two pointers each for the garbage collector to follow. Keys may repeat; nil is none.
type Headers []byte

// HeadersOf makes some of keys and values in turn.
func HeadersOf(pairs ...string) (h Headers) {
	for i := 0; i < len(pairs); i += 2 {
		h = h.Append(pairs[i], []byte(pairs[i+1]))
	}
	return slices.Clip(h)
}

// Append adds a header at the end. A nil value is null, which is not an empty one. As append does, it writes behind h where there is
// room; behind the headers of a record that was read there is none.
func (h Headers) Append(key string, value []byte) Headers {
	b := buffer{slices.Grow(h, varintLen(int64(len(key)))+len(key)+fieldLen(value))}
	b.varint(int64(len(key)))
	b.bytes = append(b.bytes, key...)
	b.field(value)
	return b.bytes
}

// All are the keys and values, as views of h: whoever keeps one longer than its record clones it.
func (h Headers) All() iter.Seq2[string, []byte] {
	return func(yield func(key string, value []byte) bool) {
		for rest := h; len(rest) > 0; {
			key, value, after, ok := rest.cut()
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

// Valid says whether h can be read to its end. What was made here, or came in a record, can; what was kept in a store may not.
func (h Headers) Valid() bool {
	ok := true
	for ok && len(h) > 0 {
		_, _, h, ok = h.cut()
	}
	return ok
}

// cut takes the first header off; not ok is one that is cut short. A null key, which no broker takes, is read as an empty one.
func (h Headers) cut() (key string, value []byte, rest Headers, ok bool) {
	if len(h) > 0 && h[0]&0x81 == 0 { // a length of one byte, as most, and of no null
		if at := 1 + int(h[0]>>1); at < len(h) && h[at]&0x81 == 0 {
			if end := at + 1 + int(h[at]>>1); end <= len(h) {
				return unsafe.String(&h[1], at-1), h[at+1 : end : end], h[end:], true
			}
		}
	}
	w := wire{b: h}
	name := w.bytes(int(w.varint()))
	value = w.field()
	return unsafe.String(unsafe.SliceData(name), len(name)), value, w.b, !w.short
}
