package view

import (
	"sync"

	"github.com/troupe-dev/troupe/pkg/projection"
)

// Share is what one document adds to indexes and counters: to each place once. The zero value is of no document.
type Share []Entry

// Entry is what one document adds to one place.
type Entry struct {
	place
	// N is a score, or what is added.
	N     int64
	taken bool // its place is in the other document's share, too
}

// place is one of an index or of the counters.
type place struct {
	kind
	Key projection.Name
	// Name of a member, empty for the document itself; of a counter, its field.
	Name projection.Name
	// until is when the key ends, in Unix seconds; 0: never.
	until int64
}

type kind int

const (
	memberOf  kind = iota // of a sorted set, by score
	countOf               // a field of a hash, which sums over all documents
	rankingOf             // a member of a sorted set, whose score sums over all documents; it holds what is not zero
)

func (s *Share) add(p place, n int64) { *s = append(*s, Entry{place: p, N: n}) }

// Member puts the document into a sorted set.
func (s *Share) Member(key projection.Name, score int64) { s.Named(key, projection.Name{}, score) }

// Named puts a member of the document's into a sorted set, under a name of its own.
func (s *Share) Named(key, name projection.Name, score int64) {
	s.add(place{memberOf, key, name, 0}, score)
}

// Count adds to a field of a hash, which ends at a Unix second; 0: never.
func (s *Share) Count(key, field projection.Name, until, n int64) {
	s.add(place{countOf, key, field, until}, n)
}

// Rank adds to the score of a member of a sorted set.
func (s *Share) Rank(key, name projection.Name, n int64) { s.add(place{rankingOf, key, name, 0}, n) }

// shares are lent to Index: those of two documents, with room for what an order adds.
var shares = sync.Pool{New: func() any { return &[2]Share{make(Share, 0, 8), make(Share, 0, 8)} }}

// Index returns a Behavior.Index of what of appends for a document, always in the same order. It writes what a document
// adds now, without what it added before. A key long past is written and expires at once, so no clock is needed.
func Index[D any](of func(*Share, D)) func(w *projection.Writes, id string, before, after D) {
	return func(w *projection.Writes, id string, before, after D) {
		both := shares.Get().(*[2]Share)
		defer func() {
			clear(both[0])
			clear(both[1])
			shares.Put(both)
		}()
		both[0], both[1] = both[0][:0], both[1][:0]
		of(&both[0], before)
		of(&both[1], after)
		both[0].become(both[1], w, id)
	}
}

// become writes what of one share differs from another.
func (s Share) become(is Share, w *projection.Writes, id string) {
	next := 0 // what both have comes in the same order, mostly
	for i := range is {
		e := &is[i]
		change := *e
		if at := s.find(e, next); at >= 0 {
			next = at + 1
			s[at].taken = true
			if s[at].N == e.N {
				continue
			}
			if e.kind != memberOf {
				change.N -= s[at].N
			}
		}
		change.write(w, id)
	}
	for i := range s {
		if e := s[i]; !e.taken {
			e.remove(w, id)
		}
	}
}

// find returns where an entry's place is in a share, or -1; it looks from next on first.
func (s Share) find(e *Entry, next int) int {
	for n := range s {
		if i := (next + n) % len(s); s[i].place == e.place {
			return i
		}
	}
	return -1
}

// member is what an entry of a sorted set is called there.
func (e *Entry) member(id string) string {
	if e.Name == (projection.Name{}) {
		return id
	}
	return e.Name.String()
}

func (e *Entry) write(w *projection.Writes, id string) {
	switch e.kind {
	case memberOf:
		w.Add(e.Key, e.member(id), e.N)
	case rankingOf:
		w.Rank(e.Key, e.Name, e.N)
	case countOf:
		w.Count(e.Key, e.Name, e.N)
		if e.until != 0 {
			w.Expire(e.Key, e.until)
		}
	}
}

// remove takes back what an entry added.
func (e *Entry) remove(w *projection.Writes, id string) {
	if e.kind == memberOf {
		w.Remove(e.Key, e.member(id))
		return
	}
	e.N = -e.N
	e.write(w, id)
}
