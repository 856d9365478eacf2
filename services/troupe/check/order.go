package check

import (
	"fmt"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
)

// order checks that every order's events lie as they happened: no fact before the one that it follows, no gap, nothing decided
// before its cause was. Facts that no reader takes are looked at too: they also were decided by somebody.
func (l *log) order(r *Report) {
	type name struct{ topic, order, id string }
	lies := map[name]bool{}
	for _, e := range l.events {
		lies[name{e.Topic, e.Subject, e.ID}] = true
	}
	passed := map[name]bool{}
	first := map[[2]string]recorded{} // by order and id
	for _, e := range l.events {
		passed[name{e.Topic, e.Subject, e.ID}] = true
		if _, copied := first[[2]string{e.Subject, e.ID}]; !copied {
			first[[2]string{e.Subject, e.ID}] = e
		}
		before := name{e.Topic, e.Subject, e.PreviousID}
		switch {
		case e.PreviousID == "" || passed[before]:
		case lies[before]:
			r.Violation(Misordered, e.Subject, "%s lies before %s, which it follows", at(e.Event, e.Record), e.PreviousID)
		default:
			r.Violation(Misordered, e.Subject, "%s follows %s, which is not in the log", at(e.Event, e.Record), e.PreviousID)
		}
	}
	for _, e := range l.events {
		cause, known := first[[2]string{e.Subject, e.CausationID}]
		if known && e.Event.Time.Before(cause.Event.Time) {
			r.Violation(Misordered, e.Subject, "%s was decided %s before its cause", at(e.Event, e.Record),
				cause.Event.Time.Sub(e.Event.Time))
		}
	}
}

// at says what and where a record is.
func at(e event.Event, r broker.Record) string {
	return fmt.Sprintf("%s %s at %s", e.Type[strings.LastIndexByte(e.Type, '.')+1:], e.ID, place(r))
}

// place of a record.
func place(r broker.Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }
