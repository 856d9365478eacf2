package deadletter

import (
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Headers of a dead letter, named as in KIP-1191 where that has the name. The original key, value and headers are
// untouched.
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

// maxText bounds a message and a stack in a header, in bytes.
const maxText = 4 << 10

// OrderOf is the order that a record of the dead-letter or redrive topic is about.
func OrderOf(r broker.Record) string {
	id, _ := header(r, headerID)
	return OrderOfKey(r.Key, id)
}

// header is the last of that name: the ones added here come after those of the original.
func header(r broker.Record, key string) (string, bool) {
	value, ok := r.Headers.Last(key)
	return string(value), ok
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
