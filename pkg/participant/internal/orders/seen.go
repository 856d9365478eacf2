package orders

import (
	"encoding/binary"

	"github.com/troupe-dev/troupe/pkg/pack"
)

// seen are the idempotency keys of an order: which events are answered, and how. They are kept in memory as they stand
// in the order's text, one piece without a pointer: orders in memory are many, and an order's marks are few and looked
// through.
type seen []byte

// How an event was answered; of a letter's event also: a request answered it, and will tell the outcome; or the
// outcome is told.
const (
	SeenPlain = "1"
	SeenOwing = "owing"
	SeenTold  = "told"
)

// prefixSeen of the names of seen ids in an order's text.
const prefixSeen = "seen:"

// find is where the mark of an event begins and ends, and how it was answered. All is zero when it was not.
func (m seen) find(id string) (from, to int, how string) {
	for at := 0; at < len(m); {
		name, next := m.part(at)
		value, end := m.part(next)
		if string(name[len(prefixSeen):]) == id {
			return at, end, string(value)
		}
		at = end
	}
	return 0, 0, ""
}

func (m seen) part(at int) (part []byte, next int) {
	n, size := binary.Varint(m[at:])
	next = at + size + int(n)
	return m[at+size : next], next
}

func (m seen) has(id string) bool {
	_, to, _ := m.find(id)
	return to > 0
}

// add puts a mark behind the others.
func (m seen) add(id, how string) seen {
	if m == nil {
		const some, around = 3, 4 // an order has about so many; so much is around an id and how it was answered
		m = make(seen, 0, some*(len(prefixSeen)+len(id)+len(how)+around))
	}
	return pack.Text(named(m, prefixSeen, id), how)
}

// without is what is left when a mark is taken out.
func (m seen) without(from, to int) seen { return append(m[:from], m[to:]...) }

// named appends a field's name of two parts.
func named(b []byte, prefix, rest string) []byte {
	return append(append(pack.Int(b, int64(len(prefix)+len(rest))), prefix...), rest...)
}
