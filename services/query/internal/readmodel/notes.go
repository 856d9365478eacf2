package readmodel

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/projection"
)

// Participants that park dead letters.
var Participants = []string{"order", "payment", "notification"}

// Notes are the topics of their dead letters.
var Notes = notes()

func notes() (topics []string) {
	for _, p := range Participants {
		topics = append(topics, deadletter.Topic(p))
	}
	return topics
}

// NotesID is the id of the document of what a participant's topic of dead letters says of an order.
func NotesID(topic, order string) string { return topic + ":" + deadletter.NameOf(order) }

// Notes returns where all lies that is said in the topics of dead letters of an order: its letters and what became of
// them, in the order of the log for each participant. version counts them: it grows with each. Errors are Unavailable.
func (m *Model) Notes(ctx context.Context, order string) (places []projection.At, version uint64, err error) {
	home := m.Partition(order)
	for _, topic := range Notes {
		found, _, err := m.Reader.Notes(ctx, []int{home}, NotesID(topic, order))
		if err != nil {
			return nil, 0, err
		}
		version += found[0].Version
		for _, n := range found[0].Doc.Notes {
			at := projection.At{Offset: n.Offset}
			at.Topic, at.Partition = topic, home
			places = append(places, at)
		}
	}
	return places, version, nil
}
