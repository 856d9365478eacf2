package story

import (
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
)

// Kinds of what a story tells beside the kinds of outcomes, which are called as deadletter calls them.
const (
	KindEvent      = "event"
	KindDeadLetter = "dead_letter"
)

// showNote makes the Event of a record of dead letters, and names the letter that it is about. ok is false for a record that cannot
// be read.
func showNote(r broker.Record) (e Event, letter string, ok bool) {
	rec, err := deadletter.Parse(r)
	if err != nil {
		return Event{}, "", false
	}
	came, _ := event.FromRecord(deadletter.Original(r))
	e = Event{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Kind: string(rec.Kind), Participant: strings.TrimSuffix(r.Topic, deadletter.Topic("")),
		Class: rec.Class, Message: deadletter.Masked(rec.Message),
	}
	e.Subject, e.Time, e.Type, e.Source = rec.Order, r.Time, came.Type, e.Participant
	e.ID = event.MakeID(r.Topic, strconv.Itoa(r.Partition), strconv.FormatInt(r.Offset, 10))
	if rec.Kind == deadletter.Letter {
		e.Kind, e.CausationID = KindDeadLetter, came.ID
		if !rec.LastFailure.IsZero() {
			e.Time = rec.LastFailure
		}
	}
	return e, rec.ID, true
}
