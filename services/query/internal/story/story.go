package story

import (
	"cmp"
	"context"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
)

// Read reads the events of one order from where they lie, and what is said of its dead letters and of its exceptions, each after its
// cause, otherwise by time. What retention has taken is left out, and so is what lies there of another order, in another log than was
// folded. It blocks until all are read; errors are Unavailable.
func Read(ctx context.Context, log broker.Log, orderID string, events, notes []projection.At) ([]Event, error) {
	records, err := view.Records(ctx, log, slices.Concat(events, notes))
	if err != nil {
		return nil, err
	}
	var told []Event
	for _, at := range events {
		if e, ok := show(records[at]); ok && e.Subject == orderID {
			told = append(told, e)
		}
	}
	letters := map[string]Event{} // by their ids
	for _, at := range notes {
		e, letter, ok := showNote(records[at])
		if !ok || e.Subject != orderID {
			continue
		}
		about, known := letters[e.Participant+letter]
		switch {
		case e.Kind != KindDeadLetter:
			e.Type, e.CausationID = about.Type, about.ID
		case known: // a copy
			continue
		default:
			letters[e.Participant+letter] = e
		}
		told = append(told, e)
	}
	if len(told) > 0 {
		told = append(told, exceptions(ctx, log, orderID, told[0].Partition)...)
	}
	return tell(told), nil
}

// tell puts each event after its cause, otherwise by time, and measures the gaps.
func tell(events []Event) []Event {
	slices.SortFunc(events, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Offset, b.Offset))
	})
	byID := map[string]int{}
	for i, e := range events {
		byID[e.ID] = i
	}
	told := make([]Event, 0, len(events))
	visited := make([]bool, len(events))
	var visit func(i int)
	visit = func(i int) {
		if visited[i] {
			return
		}
		visited[i] = true
		e := events[i]
		if cause, ok := byID[e.CausationID]; ok && cause != i {
			visit(cause)
			gap := e.Time.Sub(events[cause].Time)
			e.Gap = &gap
		}
		told = append(told, e)
	}
	for i := range events {
		visit(i)
	}
	return told
}
