// Package pack is a form for what is stored very often: numbers as varints and texts with their length in front, one
// after the other and without names. Who reads must ask for the same things in the same order as they were written, so
// what is packed begins with a number that says which things these are.
package pack

import (
	"encoding/binary"
	"errors"
	"strings"
)

// Int appends a number; small ones take one byte, negative or not.
func Int(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

// Text appends a text of any bytes.
func Text(b []byte, s string) []byte { return append(Int(b, int64(len(s))), s...) }

// Bytes appends bytes, of which nil is another thing than none; those that are not nil are packed as a text is.
func Bytes(b, p []byte) []byte {
	if p == nil {
		return Int(b, -1)
	}
	return append(Int(b, int64(len(p))), p...)
}

// Reader takes apart what was packed. After the first thing that is not there, all that follow are zero, and Err says
// so.
type Reader struct {
	rest string
	err  error
}

// Read returns a reader of what was packed. The texts that it returns are parts of packed: nothing is copied.
func Read(packed string) *Reader { return &Reader{rest: packed} }

var errTruncated = errors.New("packed text ends too early, or is none")

func (r *Reader) fail() {
	r.rest, r.err = "", errTruncated
}

// Int returns the next number.
func (r *Reader) Int() int64 {
	var u uint64
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return int64(u>>1) ^ -int64(u&1)
		}
	}
	r.fail()
	return 0
}

// Bytes returns a copy of the next bytes, which are nil where nil was packed.
func (r *Reader) Bytes() []byte {
	if strings.HasPrefix(r.rest, null) {
		r.rest = r.rest[len(null):]
		return nil
	}
	return []byte(r.Text())
}

// null is how nil is packed.
var null = string(Bytes(nil, nil))

// Len returns the next number as a count of things that follow, each at least a byte long: whatever the bytes are, it
// is never larger than what is there.
func (r *Reader) Len() int {
	n := r.Int()
	if n < 0 || n > int64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

// Text returns the next text.
func (r *Reader) Text() string {
	n := r.Len()
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// Rest returns all that was not read yet.
func (r *Reader) Rest() string {
	s := r.rest
	r.rest = ""
	return s
}

// Ended says that nothing is left to read.
func (r *Reader) Ended() bool { return r.rest == "" }

// Err says whether something was missing; to be asked once, at the end.
func (r *Reader) Err() error { return r.err }
