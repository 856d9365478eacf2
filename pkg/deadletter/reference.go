package deadletter

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Bounds of a letter, which has to fit where it is written: a batch of the dead-letter topic (MaxBytes), and Redis.
const (
	// MaxBytes is what a dead-letter topic must take in a batch: MaxWhole and the headers of a letter, generously.
	MaxBytes = 2 << 20
	// MaxWhole is the largest record that a letter holds as it came. One that is read can be larger than what may be
	// written: Kafka bounds batches as they are compressed.
	MaxWhole = 1 << 20
	// maxHeaders is the largest list of headers that a letter by reference still holds: those of an envelope, and more
	// than that.
	maxHeaders = 64 << 10
)

// Unread is the Reference of an event that could not be read at all. The others are sha256: and the sum of the value,
// in hex.
const Unread = "unread"

// fitting takes from a record what does not fit into a letter, and says by what it is known again: empty when nothing
// had to be taken.
func fitting(came broker.Record) (broker.Record, string) {
	if came.Unreadable != nil {
		came.Unreadable = nil
		return refer(came), Unread
	}
	if len(came.Key)+len(came.Value)+len(came.Headers) <= MaxWhole && (len(came.Key) == 0 || names(came.Key)) {
		return came, ""
	}
	return refer(came), sum(came.Value)
}

// refer drops the bytes of a record. Key and headers stay where they are such as an envelope may have: its order goes
// on waiting for it, and another payload can still be given to it.
func refer(r broker.Record) broker.Record {
	r.Value = []byte{} // not a tombstone
	if !names(r.Key) {
		r.Key = nil
	}
	if len(r.Headers) > maxHeaders {
		r.Headers = nil
	}
	return r
}

func sum(value []byte) string {
	s := sha256.Sum256(value)
	return "sha256:" + hex.EncodeToString(s[:])
}

// ByReference makes a letter that its topic does not take one without the event's bytes; ok is false when it is one
// already, or the record is no letter.
func ByReference(letter broker.Record) (smaller broker.Record, ok bool) {
	rec, err := Parse(letter)
	if err != nil || rec.Kind != Letter || rec.Reference != "" || len(letter.Value) == 0 {
		return letter, false
	}
	w := writing{slices.Clip(letter.Headers)}
	w.add(headerReference, sum(letter.Value))
	letter.Headers, letter.Value = w.h, []byte{}
	return letter, true
}

// Refers says whether a record, read again from where a letter's event came from, is that event. The error is of class
// Permanent.
func (rec Record) Refers(came broker.Record) error {
	switch {
	case came.Unreadable != nil:
		return came.Unreadable
	case came.Topic != rec.Topic || came.Partition != rec.Partition || came.Offset != rec.Offset:
		return rec.Gone()
	case OrderOfKey(came.Key, rec.ID) != rec.Order:
		return fault.New(fault.Permanent, "%s/%d@%d holds an event of another order now; discard the letter",
			rec.Topic, rec.Partition, rec.Offset)
	case rec.Reference != Unread && rec.Reference != sum(came.Value):
		return fault.New(fault.Permanent, "%s/%d@%d holds another value now than was parked; discard the letter",
			rec.Topic, rec.Partition, rec.Offset)
	}
	return nil
}

// Gone is the error of an event that nobody holds any more.
func (rec Record) Gone() error {
	return fault.New(fault.Permanent, "the event was too large for its letter, and its topic does not hold "+
		"%s/%d@%d any more; edit it, or discard the letter", rec.Topic, rec.Partition, rec.Offset)
}
