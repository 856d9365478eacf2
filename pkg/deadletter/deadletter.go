// Package deadletter is the format of dead letters, of what operators ask to be done with them, and of what became of each: the
// records of <participant>.dead-letters.v1 and <participant>.redrive.v1. The way of a letter back is docs/dead-letters.md.
package deadletter

import (
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
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

// Headers of a dead letter, named as in KIP-1191 where that has the name. The original key, value and headers are untouched.
const (
	prefix           = "__dlq."
	headerRecord     = "__dlq.record"
	headerID         = "__dlq.id"
	headerTopic      = "__dlq.errors.topic"
	headerPartition  = "__dlq.errors.partition"
	headerOffset     = "__dlq.errors.offset"
	headerGroup      = "__dlq.errors.group"
	headerDeliveries = "__dlq.errors.delivery.count"
	headerMessage    = "__dlq.errors.message"
	headerClass      = "__dlq.errors.class"
	headerException  = "__dlq.errors.exception"
	headerFirst      = "__dlq.errors.first.failure"
	headerLast       = "__dlq.errors.last.failure"
	headerRedrives   = "__dlq.errors.redrive.count"
	headerBehind     = "__dlq.errors.parked.behind"
	headerRedriven   = "__dlq.redriven"
	headerWaiting    = "__dlq.waiting"
	headerRetry      = "__dlq.retry.at"
	headerAutomatic  = "__dlq.automatic"
	headerReference  = "__dlq.reference"

	headerCausation = "ce_causationid"
)

// Keyless begins the name of the order that a record is parked as which has no key, or one too long to be an order's:
// it waits alone, under its letter's id.
const Keyless = "keyless:"

// maxText bounds a message and a stack in a header, in bytes.
const maxText = 4 << 10

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

// Name is what the record can be known again by among those of its order. Whatever brought a letter back, it is the same:
// the letter is back.
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

// OrderOf is the order that a record of the dead-letter or redrive topic is about.
func OrderOf(r broker.Record) string {
	id, _ := header(r, headerID)
	return OrderOfKey(r.Key, id)
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

// header is the last of that name: the ones added here come after those of the original.
func header(r broker.Record, key string) (string, bool) {
	value, ok := r.Headers.Last(key)
	return string(value), ok
}

// Parse reads a record of the dead-letter topic. The error is of class Permanent and names the header at fault.
func Parse(r broker.Record) (Record, error) {
	p := reading{r: r}
	rec := Record{
		Kind: Kind(p.must(headerRecord)), Order: OrderOf(r), Group: p.text(headerGroup), Class: p.text(headerClass),
		Message: p.text(headerMessage), Exception: p.text(headerException), Behind: p.text(headerBehind),
		FirstFailure: p.time(headerFirst), LastFailure: p.time(headerLast), Deliveries: p.number(headerDeliveries),
		Redrives: p.number(headerRedrives), Redriven: p.number(headerRedriven), Waiting: p.number(headerWaiting),
		RetryAt: p.time(headerRetry),
	}
	rec.ID = p.text(headerID)
	if rec.ID == "" && rec.Kind != Closed {
		p.fail(headerID, "must not be empty")
	}
	switch rec.Kind {
	case Letter:
		rec.Topic, rec.Partition, rec.Offset = p.must(headerTopic), p.number(headerPartition), p.long(headerOffset)
		rec.Reference = p.text(headerReference)
	case Redriven, Edited, Discarded, Failed, Closed:
		rec.RequestID, rec.By, rec.Reason = p.text(headerCausation), p.text(headerBy), p.text(headerReason)
		rec.Automatic = p.text(headerAutomatic) != ""
	default:
		p.fail(headerRecord, "must be letter, redriven, edited, discarded, failed or closed")
	}
	return rec, p.err
}

// Original is a letter's record as it came; what a letter by reference does not hold is not in it.
func Original(letter broker.Record) broker.Record {
	o := letter
	o.Headers = letter.Headers.Without(func(key string) bool { return strings.HasPrefix(key, prefix) })
	if topic, ok := header(letter, headerTopic); ok {
		o.Topic = topic
	}
	p := reading{r: letter}
	o.Partition, o.Offset = p.number(headerPartition), p.long(headerOffset)
	return o
}

// reading reads headers and keeps the first error.
type reading struct {
	r   broker.Record
	err error
}

func (p *reading) fail(key, rule string) {
	if p.err == nil {
		p.err = fault.New(fault.Permanent, "record %s/%d@%d: header %s: %s", p.r.Topic, p.r.Partition, p.r.Offset, key, rule)
	}
}

func (p *reading) text(key string) string {
	v, _ := header(p.r, key)
	return v
}

func (p *reading) must(key string) string {
	v := p.text(key)
	if v == "" {
		p.fail(key, "must not be empty")
	}
	return v
}

// long is 0 for a header that is not there.
func (p *reading) long(key string) int64 {
	v, ok := header(p.r, key)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		p.fail(key, "must be a number, 0 or more")
	}
	return n
}

func (p *reading) number(key string) int {
	n := p.long(key)
	if n > 1<<31-1 {
		p.fail(key, "must be less than 2147483648")
		return 0
	}
	return int(n)
}

func (p *reading) time(key string) time.Time {
	v, _ := header(p.r, key)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		p.fail(key, "must be RFC 3339")
	}
	return t
}
