package outbox

import (
	"errors"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/pack"
)

// Entry is a fact or a dead letter decided and not yet known to be in Kafka.
type Entry struct {
	Order  string
	ID     string
	Seq    uint64 // sequence in the order's chain; 0: it is in none
	Prev   string // previousid
	Record broker.Record
	// Ended ends the producer span; nil for what another instance decided.
	Ended func(error)
	// Acked: it is in Kafka, at Offset.
	Acked  bool
	Offset int64

	number int64
}

// Number of an entry in its outbox, from 1.
func (e *Entry) Number() int64 { return e.number }

// Contradicts says whether a fact of the same order and sequence is another decision about the same place. One that
// names another fact before it is superseded: nobody applies it.
func (e *Entry) Contradicts(f event.Event) bool { return e.ID != f.ID && e.Prev == f.PreviousID }

// encode packs an entry as it is stored. It is written once for every fact, and read only after a crash.
func (e *Entry) encode() string {
	r := &e.Record
	var most [2048]byte // of most entries, on the stack

	b := pack.Text(pack.Int(pack.Text(most[:0], e.ID), int64(e.Seq)), e.Prev) //nolint:gosec // counts events
	b = pack.Int(pack.Text(b, r.Topic), int64(r.Partition))
	return string(pack.Bytes(pack.Bytes(pack.Bytes(b, r.Key), r.Value), r.Headers))
}

// decode reads what encode wrote.
func decode(body string) (*Entry, error) {
	r := pack.Read(body)
	e := &Entry{ID: r.Text(), Seq: uint64(r.Int()), Prev: r.Text()} //nolint:gosec // as it was written
	e.Record = broker.Record{
		Topic: r.Text(), Partition: int(r.Int()), Key: r.Bytes(), Value: r.Bytes(), Headers: r.Bytes(),
	}
	if r.Err() != nil || !r.Ended() || !e.Record.Headers.Valid() {
		return nil, errors.New("it is cut off, or of another layout")
	}
	e.Order = deadletter.OrderOf(e.Record)
	return e, nil
}
