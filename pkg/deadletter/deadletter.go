package deadletter

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
)

// Topic is where a participant parks, and says what became of what it parked. Only it writes there.
func Topic(participant string) string { return participant + ".dead-letters.v1" }

// RedriveTopic is where operators ask a participant to redrive, edit or discard.
func RedriveTopic(participant string) string { return participant + ".redrive.v1" }

// Kind says what a record of the dead-letter topic is.
type Kind string

// The kinds. All but Letter and Closed are outcomes: what became of one letter.
const (
	Letter    Kind = "letter"
	Redriven  Kind = "redriven"  // it was answered
	Edited    Kind = "edited"    // it was answered, with another payload
	Discarded Kind = "discarded" // it will not be answered
	Failed    Kind = "failed"    // it could not be answered this time either, and waits on
	Closed    Kind = "closed"    // the last record of each request
)

// Keyless begins the name of the order that a record is parked as which has no key, or one too long to be an order's:
// it waits alone, under its letter's id.
const Keyless = "keyless:"

// Record is a record of the dead-letter topic.
type Record struct {
	Kind Kind
	// ID names the letter among those of its order: the event's id, or where it lay when that cannot be read. Of a closed
	// record it is the letter that the request named or began with, and may be empty.
	ID string
	// Order whose events wait: the record's key, or for a record without one a name of its own.
	Order string
	// Topic, Partition and Offset of the event as it came. Letters only.
	Topic     string
	Partition int
	Offset    int64
	// Reference is empty when the letter holds the event as it came. Otherwise it does not hold its bytes, which are
	// only where the event came from: see Refers.
	Reference string
	// Group is the participant that parked it.
	Group string
	// Class and Message of the error; of a closed record: why it stopped, empty when nothing stopped it.
	Class, Message string
	// Exception is the stack of a panic.
	Exception    string
	FirstFailure time.Time
	LastFailure  time.Time
	// Deliveries before it was parked.
	Deliveries int
	// Redrives that failed.
	Redrives int
	// Behind is the id of the chain's head when it was parked; empty when it is the head.
	Behind string
	// RequestID is the request that an outcome answers; empty when nobody asked: the event was found answered already.
	RequestID string
	// By and Reason are the request's.
	By, Reason string
	// RetryAt is when the participant redrives the chain by itself: of a letter or a failed redrive that is deferred;
	// zero: never.
	RetryAt time.Time
	// Automatic says that the participant redrove by itself: nobody asked, and RequestID names that try. Outcomes only.
	Automatic bool
	// Redriven is how many letters came back, Waiting how many still wait. Closed only.
	Redriven, Waiting int
}

// Name is what the record can be known again by among those of its order. Whatever brought a letter back, it is the
// same: the letter is back.
func (rec Record) Name() string {
	switch rec.Kind {
	case Letter:
		return rec.ID
	case Failed, Closed:
		return string(rec.Kind) + " " + rec.RequestID
	default:
		return "back " + rec.ID
	}
}

// OrderOfKey is the order as which a record with a key waits, under its letter's id.
func OrderOfKey(key []byte, id string) string {
	if names(key) {
		return string(key)
	}
	return Keyless + id
}

// names says whether a key can be that of an order.
func names(key []byte) bool { return 0 < len(key) && len(key) <= event.MaxName }
