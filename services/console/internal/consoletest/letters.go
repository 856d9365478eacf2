package consoletest

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// Ask makes the record of a request.
func (w *Writer) Ask(participant string, action deadletter.Action, order, letter string, partition int) (string, broker.Record) {
	w.Clock = w.Clock.Add(time.Millisecond)
	q := deadletter.Request{
		ID: event.MakeID(w.Clock.String()), Action: action, Order: order, Letter: letter, By: "ada.l", Reason: "because", Partition: partition, At: w.Clock,
	}
	return q.ID, q.Record(participant)
}

// Answer plays a participant that answers requests with what decide says: outcomes and, last, closed. It runs until stop is called,
// or the test ends.
func (s *Stage) Answer(participant string, decide func(q deadletter.Request) []deadletter.Record) (stop func()) {
	topic := deadletter.RedriveTopic(participant)
	at := make([]int64, viewtest.Partitions)
	return s.Run(func(ctx context.Context) error {
		for ctx.Err() == nil {
			var from []broker.Position
			for p := range at {
				from = append(from, broker.Position{TopicPartition: broker.TopicPartition{Topic: topic, Partition: p}, Offset: at[p]})
			}
			got, err := s.Log.Fetch(ctx, from)
			if err != nil {
				continue // the log is down for a while, or the test is over
			}
			for _, f := range got {
				for _, r := range f.Records {
					at[f.Partition] = r.Offset + 1
					s.tell(participant, r, decide)
				}
			}
		}
		return nil
	})
}

func (s *Stage) tell(participant string, r broker.Record, decide func(q deadletter.Request) []deadletter.Record) {
	q, err := deadletter.ParseRequest(r)
	if err != nil {
		s.T.Errorf("request: %v", err)
		return
	}
	for _, d := range decide(q) {
		d.Order, d.Group, d.RequestID, d.By, d.Reason = q.Order, participant, q.ID, q.By, q.Reason
		if d.Kind == deadletter.Failed {
			d.LastFailure = time.Now()
		}
		out := deadletter.Tell(d, q.Partition, time.Now())
		s.Log.Append(broker.TopicPartition{Topic: out.Topic, Partition: out.Partition}, out)
	}
}

// LettersOf returns the places of the letters' topic of a participant for an order.
func LettersOf(participant, order string) broker.TopicPartition {
	return broker.TopicPartition{Topic: deadletter.Topic(participant), Partition: broker.Partition([]byte(order), viewtest.Partitions)}
}

// Chain reads a chain when all that is in the log is folded.
func (s *Stage) Chain(participant, order string) letters.Chain {
	s.T.Helper()
	s.Caught()
	c, _, err := s.Model.Chain(s.T.Context(), participant, deadletter.NameOf(order))
	if err != nil {
		s.T.Fatal(err)
	}
	return c
}
