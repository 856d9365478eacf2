package deadletter

import (
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
)

// Park makes the letter of a record as it came: its key, value and headers, and rec's headers after them; of one that
// does not fit, a letter by reference. Kind, Order, Topic, Partition, Offset and Reference of rec are the record's own.
func Park(came broker.Record, rec Record) broker.Record {
	came, rec.Reference = fitting(came)
	out := came
	out.Topic, out.Offset = Topic(rec.Group), 0
	if out.Key == nil {
		out.Key = []byte{} // the broker client refuses records whose key was forgotten
	}
	w := writing{slices.Clip(came.Headers)}
	w.add(headerRecord, string(Letter))
	w.add(headerID, rec.ID)
	w.add(headerTopic, came.Topic)
	w.add(headerPartition, strconv.Itoa(came.Partition))
	w.add(headerOffset, strconv.FormatInt(came.Offset, 10))
	w.add(headerGroup, rec.Group)
	w.add(headerDeliveries, strconv.Itoa(max(1, rec.Deliveries)))
	w.failure(rec)
	w.add(headerFirst, rec.FirstFailure.UTC().Format(time.RFC3339Nano))
	w.add(headerBehind, rec.Behind)
	w.add(headerReference, rec.Reference)
	w.unforged(came, headerReference, rec.Reference != "")
	w.unforged(came, headerRetry, !rec.RetryAt.IsZero())
	out.Headers = slices.Clip(w.h)
	return out
}

// Tell makes the record of an outcome or of a closed request: rec.Kind, about rec.Order, in the letters' partition.
// Its id is made, so that saying the same twice is the same record.
func Tell(rec Record, partition int, at time.Time) broker.Record {
	e := event.Event{
		ID:   event.MakeID(rec.RequestID, rec.Order, rec.ID, rec.Group, string(rec.Kind)),
		Type: "troupe.deadletter." + string(rec.Kind), Source: rec.Group, Subject: rec.Order, Time: at,
		CausationID: rec.RequestID,
	}
	out := event.ToRecord(e, Topic(rec.Group), partition)
	out.Value = []byte{} // not a tombstone
	w := writing{out.Headers}
	w.add(headerRecord, string(rec.Kind))
	w.add(headerID, rec.ID)
	w.add(headerGroup, rec.Group)
	w.add(headerBy, rec.By)
	w.add(headerReason, rec.Reason)
	if rec.Automatic {
		w.add(headerAutomatic, "true")
	}
	if rec.Class != "" || rec.Message != "" {
		w.failure(rec)
	}
	if rec.Kind == Closed {
		w.add(headerRedriven, strconv.Itoa(rec.Redriven))
		w.add(headerWaiting, strconv.Itoa(rec.Waiting))
	}
	out.Headers = slices.Clip(w.h)
	return out
}
