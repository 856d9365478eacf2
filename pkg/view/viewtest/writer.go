package viewtest

import (
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
)

// ID is the order id of a name.
func ID(name string) string { return event.MakeID("test order", name) }

// Writer makes records of events, chained as their participants would.
type Writer struct {
	heads map[string]event.Event
	// Clock is the time of the next event; each takes a millisecond more.
	Clock time.Time
}

// NewWriter returns a writer whose clock begins now.
func NewWriter() *Writer {
	return &Writer{heads: map[string]event.Event{}, Clock: time.Now().UTC().Truncate(time.Millisecond)}
}

// Now is the time of the next event.
func (w *Writer) Now() time.Time { return w.Clock }

// Fact makes the record of an order's next fact of a source, in answer to cause; the zero Record is none.
func (w *Writer) Fact(source, orderID string, body proto.Message, cause broker.Record) broker.Record {
	head := w.heads[source+orderID]
	e := w.event(source, orderID, body, cause)
	e.Sequence, e.PreviousID = head.Sequence+1, head.ID
	w.heads[source+orderID] = e
	return record(e)
}

// Request makes the record of an event that is no fact.
func (w *Writer) Request(source, orderID string, body proto.Message, cause broker.Record) broker.Record {
	return record(w.event(source, orderID, body, cause))
}

func record(e event.Event) broker.Record {
	return event.ToRecord(e, participant.FactsTopic(e.Source), broker.Partition([]byte(e.Subject), Partitions))
}

func (w *Writer) event(source, orderID string, body proto.Message, cause broker.Record) event.Event {
	data, err := event.Encode(body)
	if err != nil {
		panic(err)
	}
	causeID := ""
	if e, err := event.FromRecord(cause); err == nil {
		causeID = e.ID
	}
	e := event.Event{
		ID:   event.MakeID(orderID, causeID, event.TypeOf(body), fmt.Sprint(w.heads[source+orderID].Sequence)),
		Type: event.TypeOf(body), Source: source, Subject: orderID, Time: w.Clock, CausationID: causeID, Data: data,
	}
	w.Clock = w.Clock.Add(time.Millisecond)
	return e
}

// Letter makes the letter of a record as a participant parks it. behind: the id of the letter it waits behind, or
// empty.
func (w *Writer) Letter(participant string, came broker.Record, class, message, behind string) broker.Record {
	id := came.Topic + "@lost"
	if e, err := event.FromRecord(came); err == nil {
		id = e.ID
	}
	w.Clock = w.Clock.Add(time.Millisecond)
	return deadletter.Park(came, deadletter.Record{
		ID: id, Group: participant, Class: class, Message: message, Behind: behind,
		FirstFailure: w.Clock, LastFailure: w.Clock,
	})
}
