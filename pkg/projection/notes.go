package projection

import (
	"context"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
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

// takeNote folds one record of a topic of notes.
func (c *cycle[D]) takeNote(o *order[D], r *broker.Record) error {
	_, fold, err := c.b.note(r)
	if err == nil {
		err = o.note(fold)
	}
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

// Notes reads the documents of notes of one id, as Behavior.Note gave it, in some partitions; one that is missing
// has version 0. Errors are of class Unavailable.
func (r *Reader[D]) Notes(ctx context.Context, partitions []int, id string) ([]Found[D], error) {
	docs := make([]*redis.StringCmd, len(partitions))
	_, err := r.Read(ctx, partitions, func(pipe redis.Pipeliner, keys Keys) {
		for i, p := range partitions {
			docs[i] = pipe.Get(ctx, keys(p, keyOrder+NoteID(id)))
		}
	})
	found := make([]Found[D], len(partitions))
	for i := range partitions {
		if err == nil {
			found[i], err = r.decode(id, docs[i].Val())
		}
	}
	return found, err
}
