package deadletter

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Action is what an operator asks for.
type Action string

// The actions.
const (
	// Redrive runs the chain of an order from its head.
	Redrive Action = "Redrive"
	// Edit replaces the payload of the chain's head and redrives.
	Edit Action = "Edit"
	// Discard takes one letter out, wherever it stands.
	Discard Action = "Discard"
)

const (
	typePrefix   = "troupe.deadletter."
	headerLetter = "__redrive.letter"
	headerBy     = "__redrive.by"
	headerReason = "__redrive.reason"
	// headerAnswers is in a participant's own topic: its fact answers a letter, on the request named.
	headerAnswers = "__redrive.request"
)

// maxName bounds who asks, in bytes.
const maxName = 1 << 10

// Request is what an operator asks for, about one order's chain.
type Request struct {
	// ID is unique per request; the same request twice is answered once.
	ID     string
	Action Action
	// Order is the name of the order in its letters (Record.Order).
	Order string
	// Letter is the id of the letter to edit or discard. A redrive may name the head that it was decided upon, or nothing.
	Letter string
	// By and Reason say who asked, and why.
	By, Reason string
	// Payload is the new body of an edited letter, in the encoding of the original.
	Payload []byte
	// Partition is the letters' partition.
	Partition int
	At        time.Time
}

// Record makes the request's record for a participant's redrive topic.
func (q Request) Record(participant string) broker.Record {
	r := event.ToRecord(event.Event{
		ID: q.ID, Type: typePrefix + string(q.Action), Source: "operator", Subject: q.Order, Time: q.At, Data: q.Payload,
	}, RedriveTopic(participant), q.Partition)
	w := writing{r.Headers}
	w.add(headerLetter, q.Letter)
	w.add(headerBy, q.By)
	w.add(headerReason, q.Reason)
	r.Headers = slices.Clip(w.h)
	if r.Value == nil {
		r.Value = []byte{} // not a tombstone
	}
	return r
}

// ParseRequest reads a record of a redrive topic. The error is of class Permanent and names what is wrong.
func ParseRequest(r broker.Record) (Request, error) {
	e, err := event.FromRecord(r)
	if err != nil {
		return Request{}, err
	}
	p := reading{r: r}
	q := Request{
		ID: e.ID, Order: e.Subject, Letter: p.text(headerLetter), By: p.text(headerBy), Reason: p.text(headerReason),
		Partition: r.Partition, At: e.Time,
	}
	name, ours := strings.CutPrefix(e.Type, typePrefix)
	q.Action = Action(name)
	switch {
	case !ours || !slices.Contains([]Action{Redrive, Edit, Discard}, q.Action):
		return Request{}, fault.New(fault.Permanent, "request %s: type must be %sRedrive, Edit or Discard, is %q",
			e.ID, typePrefix, e.Type)
	case e.Sequence > 0:
		p.fail("ce_sequence", "must not be set: a request is no fact")
	case !utf8.ValidString(e.ID):
		p.fail("ce_id", "must be text")
	case q.Letter == "" && q.Action != Redrive:
		p.fail(headerLetter, "must name the letter")
	case len(q.By) > maxName:
		p.fail(headerBy, "must have at most 1024 bytes")
	case len(q.Reason) > maxText:
		p.fail(headerReason, "must have at most 4096 bytes")
	}
	if q.Action == Edit {
		q.Payload = e.Data
	}
	return q, p.err
}

// Answers are the headers of a fact that answers a letter on request: what marks the letter's event as seen in the
// log, while its outcome is still to come.
func (q Request) Answers() broker.Headers { return broker.HeadersOf(headerAnswers, q.ID) }

// OnRequest says whether a fact answers a letter on request.
func OnRequest(fact broker.Record) bool {
	_, ok := header(fact, headerAnswers)
	return ok
}
