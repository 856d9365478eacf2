package projection

import (
	"context"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// notePrefix sets documents of notes apart from those of orders.
const notePrefix = "note:"

// NoteID is the id under which the document of notes is stored, read and watched, of the id that Behavior.Note gave.
func NoteID(id string) string { return notePrefix + id }

// topics are all that are read: facts first.
func (b Behavior[D]) topics() []string { return slices.Concat(b.Topics, b.Notes) }

// isNote says whether a source holds notes.
func (b Behavior[D]) isNote(source int) bool { return source >= len(b.Topics) }

// document is the id of the document that a record belongs to; empty when it has none.
func (b Behavior[D]) document(source int, r broker.Record) string {
	if !b.isNote(source) {
		return string(r.Key)
	}
	id, _, err := b.note(r)
	if err != nil {
		return ""
	}
	return NoteID(id)
}

// note calls Note; a panic is an error, so that one record cannot stop its partition.
func (b Behavior[D]) note(r broker.Record) (id string, fold func(D) D, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Permanent, "note panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return b.Note(r)
}

// takeNote folds one record of a topic of notes.
func (c *cycle[D]) takeNote(ctx context.Context, orders map[string]*order[D], r *broker.Record) error {
	id, fold, err := c.b.note(*r)
	if err == nil {
		err = orders[NoteID(id)].note(fold)
	}
	outcome := "folded"
	if err != nil {
		outcome = "unreadable"
	}
	c.watch.folded(ctx, r, event.Event{}, outcome, err)
	return err
}

func (o *order[D]) note(fold func(D) D) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.Permanent, "fold of a note panicked: %v\n%s", p, debug.Stack())
		}
	}()
	o.Doc = fold(o.Doc)
	o.Version++
	o.changed = true
	return nil
}

// checkSubject refuses an order whose document would be that of notes.
func checkSubject(e event.Event) error {
	if strings.HasPrefix(e.Subject, notePrefix) {
		return fault.New(fault.Permanent, "attribute subject: must not begin with %s", notePrefix)
	}
	return nil
}
