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

// Tell makes the record of an outcome or of a closed request: rec.Kind, about rec.Order, in the letters' partition. Its id is
// made, so that saying the same twice is the same record.
func Tell(rec Record, partition int, at time.Time) broker.Record {
	e := event.Event{
		ID:   event.MakeID(rec.RequestID, rec.Order, rec.ID, rec.Group, string(rec.Kind)),
		Type: "troupe.deadletter." + string(rec.Kind), Source: rec.Group, Subject: rec.Order, Time: at, CausationID: rec.RequestID,
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

// Answers are the headers of a fact that answers a letter on request: what marks the letter's event as seen in the log, while its
// outcome is still to come.
func (q Request) Answers() broker.Headers { return broker.HeadersOf(headerAnswers, q.ID) }

// OnRequest says whether a fact answers a letter on request.
func OnRequest(fact broker.Record) bool {
	_, ok := header(fact, headerAnswers)
	return ok
}

type writing struct{ h broker.Headers }

// add leaves out what is empty.
func (w *writing) add(key, value string) {
	if value != "" {
		w.h = w.h.Append(key, []byte(value))
	}
}

// unforged keeps an event from saying in its own headers what its letter does not: the last of two headers counts.
func (w *writing) unforged(came broker.Record, key string, said bool) {
	if _, forged := came.Headers.Last(key); forged && !said {
		w.h = w.h.Append(key, nil)
	}
}

func (w *writing) failure(rec Record) {
	w.add(headerClass, rec.Class)
	w.add(headerMessage, rec.Message[:min(len(rec.Message), maxText)])
	w.add(headerException, rec.Exception[:min(len(rec.Exception), maxText)])
	w.add(headerLast, rec.LastFailure.UTC().Format(time.RFC3339Nano))
	w.add(headerRedrives, strconv.Itoa(rec.Redrives))
	if !rec.RetryAt.IsZero() {
		w.add(headerRetry, rec.RetryAt.UTC().Format(time.RFC3339Nano))
	}
}
