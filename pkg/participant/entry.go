package participant

import (
	"errors"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/pack"
)

// entry is a fact or a letter decided and not yet known to be in Kafka.
type entry struct {
	Order  string
	ID     string
	Seq    uint64 // 0: not in the chain
	Prev   string // previousid
	Record broker.Record

	number int64
	body   string      // as kept in the store
	ended  func(error) // of the producer span; nil for what another instance decided
	acked  bool
	offset int64 // once acked
}

// contradicts says whether a fact of the same order and sequence is another decision about the same place. One that names another
// fact before it is void: nobody heeds it.
func (e *entry) contradicts(f event.Event) bool { return e.ID != f.ID && e.Prev == f.PreviousID }

// encode packs an entry as it is kept in the store. It is written once for every fact, and read only after a crash.
func (e *entry) encode() string {
	r := &e.Record
	var most [2048]byte // of most entries, on the stack

	b := pack.Text(pack.Int(pack.Text(most[:0], e.ID), int64(e.Seq)), e.Prev) //nolint:gosec // counts events
	b = pack.Int(pack.Text(b, r.Topic), int64(r.Partition))
	return string(pack.Bytes(pack.Bytes(pack.Bytes(b, r.Key), r.Value), r.Headers))
}

// decodeEntry reads what encode wrote.
func decodeEntry(body string) (*entry, error) {
	r := pack.Read(body)
	e := &entry{body: body, ID: r.Text(), Seq: uint64(r.Int()), Prev: r.Text()} //nolint:gosec // as it was written
	e.Record = broker.Record{Topic: r.Text(), Partition: int(r.Int()), Key: r.Bytes(), Value: r.Bytes(), Headers: r.Bytes()}
	if r.Err() != nil || !r.Ended() || !e.Record.Headers.Valid() {
		return nil, errors.New("it is cut off, or of another layout")
	}
	e.Order = deadletter.OrderOf(e.Record)
	return e, nil
}
