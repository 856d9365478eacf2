package querytest

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
)

// Letter makes the letter of a record as a participant parks it. behind: the id of the letter it waits behind, or empty.
func (w *Writer) Letter(participant string, came broker.Record, class, message, behind string) broker.Record {
	id := came.Topic + "@lost"
	if e, err := event.FromRecord(came); err == nil {
		id = e.ID
	}
	w.Clock = w.Clock.Add(time.Millisecond)
	return deadletter.Park(came, deadletter.Record{
		ID: id, Group: participant, Class: class, Message: message, FirstFailure: w.Clock, LastFailure: w.Clock, Behind: behind,
	})
}

// Park puts letters of records into the log: the first failed, the others wait behind it. It returns their ids.
func (s *Stage) Park(participant, class, message string, came ...broker.Record) (ids []string) {
	for _, r := range came {
		why, text, behind := class, message, ""
		if len(ids) > 0 {
			why, text, behind = "behind", "waits behind an earlier letter of its order", ids[0]
		}
		l := s.Letter(participant, r, why, text, behind)
		s.Put(l)
		d, err := deadletter.Parse(l)
		if err != nil {
			s.T.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	return ids
}
