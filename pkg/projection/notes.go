package projection

import (
	"runtime/debug"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// notePrefix sets documents of notes apart from those of orders.
const notePrefix = "note:"

// NoteID is the id under which the document of notes is stored, read and watched, of the id that Behavior.Note gave.
func NoteID(id string) string { return notePrefix + id }

// document is the id of the document that a record belongs to; empty when it has none.
func (b Behavior[D]) document(source int, r *broker.Record) []byte {
	if !b.isNote(source) {
		if len(r.Key) > event.MaxName { // no event can be read from it
			return nil
		}
		return r.Key
	}
	id, _, err := b.note(r)
	if err != nil {
		return nil
	}
	return []byte(NoteID(id))
}

// note calls Note; a panic is an error, so that one record cannot stop its partition.
func (b Behavior[D]) note(r *broker.Record) (id string, fold func(D) D, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Permanent, "note panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return b.Note(*r)
}

// envelope reads the event of a record; a note has none.
func (b Behavior[D]) envelope(source int, r *broker.Record) (event.Event, error) {
	if b.isNote(source) {
		return event.Event{}, nil
	}
	e, err := event.FromRecord(*r)
	if err == nil && strings.HasPrefix(e.Subject, notePrefix) {
		err = fault.New(fault.Permanent, "attribute subject: must not begin with %s", notePrefix)
	}
	return e, err
}
