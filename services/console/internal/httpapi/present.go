package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
	"google.golang.org/protobuf/encoding/protojson"
)

// letter shows a letter of a chain.
func letter(c letters.Chain, i int) Letter {
	l := c.Letters[i]
	return Letter{
		Participant: c.Participant, OrderID: c.Order, LetterID: l.ID, Position: int32(i + 1), Type: l.Type, Class: l.Class,
		Message: l.Message, Topic: l.Topic, Partition: int32(l.Partition), Offset: l.Offset, FirstFailure: l.First.Time(),
		LastFailure: l.Last.Time(), Redrives: int32(l.Redrives), RetryAt: l.Retry.Time(), Behind: l.Behind,
	}
}

// chainLetter shows all of a letter. A record that the log does not hold any more leaves what the read model knows.
func chainLetter(c letters.Chain, i int, r broker.Record) ChainLetter {
	l := letter(c, i)
	s := ChainLetter{
		Participant: l.Participant, OrderID: l.OrderID, LetterID: l.LetterID, Position: l.Position, Type: l.Type, Class: l.Class,
		Message: l.Message, Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, FirstFailure: l.FirstFailure,
		LastFailure: l.LastFailure, Redrives: l.Redrives, RetryAt: l.RetryAt, Behind: l.Behind,
		LetterTopic: deadletter.Topic(c.Participant), LetterOffset: c.Letters[i].At, Headers: []Header{}, Raw: []byte{},
	}
	rec, err := deadletter.Parse(r)
	if err != nil {
		s.PayloadError = "the letter cannot be read: " + err.Error()
		return s
	}
	s.Group, s.Exception, s.Deliveries = rec.Group, rec.Exception, int32(rec.Deliveries)
	if l.Redrives == 0 { // whole, as long as no later failure is known
		s.Message = valid(rec.Message)
	}
	came := deadletter.Original(r)
	for key, value := range came.Headers.All() {
		s.Headers = append(s.Headers, header(key, value))
	}
	if came.Value != nil {
		s.Raw = came.Value
	}
	if s.Payload, err = payload(came); rec.Reference != "" {
		s.Payload, err = nil, notHeld(rec)
	}
	if err != nil {
		s.PayloadError = valid(err.Error())
	}
	return s
}

// notHeld says where the body is that a letter by reference does not hold.
func notHeld(rec deadletter.Record) error {
	if rec.Reference == deadletter.Unread {
		return errors.New("it could not be read, and is not in the letter")
	}
	return fmt.Errorf("it is too large for a letter; a redrive reads it again from %s/%d@%d", rec.Topic, rec.Partition, rec.Offset)
}

func header(key string, value []byte) Header {
	if utf8.Valid(value) {
		return Header{Name: valid(key), Value: string(value)}
	}
	return Header{Name: valid(key), Value: base64.StdEncoding.EncodeToString(value), Base64: true}
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// payload is the body of a record as protobuf JSON, whose white space varies on purpose: whoever shows it writes it anew.
func payload(r broker.Record) (json.RawMessage, error) {
	e, err := event.FromRecord(r)
	if err != nil && e.Type == "" {
		return nil, err
	}
	m, err := event.Decode(e)
	if err != nil {
		return nil, err
	}
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(m.Body)
}

// entry shows a request, or what became of one, without what is private, since viewers see it; ok is false for a record
// that cannot be read.
func entry(r broker.Record) (LogEntry, bool) {
	e := LogEntry{Topic: r.Topic, Partition: int32(r.Partition), Offset: r.Offset, At: r.Time.UTC()}
	topic := slices.Index(letters.Notes, r.Topic)
	if topic < 0 {
		return e, false
	}
	e.Participant = letters.Participants[topic/2]
	if topic%2 == 1 {
		q, err := deadletter.ParseRequest(r)
		e.Kind, e.At, e.OrderID, e.RequestID = LogEntryKindRequest, q.At.UTC(), deadletter.NameOf(q.Order), deadletter.NameOf(q.ID)
		e.Action, e.By, e.Reason = LogEntryAction(action(q.Action)), valid(q.By), valid(q.Reason)
		e.LetterID = letters.NameOf(q.Letter)
		return e, err == nil
	}
	rec, err := deadletter.Parse(r)
	e.Kind, e.OrderID, e.RequestID = LogEntryKind(rec.Kind), deadletter.NameOf(rec.Order), letters.NameOf(rec.RequestID)
	e.LetterID, e.By, e.Reason, e.Class = letters.NameOf(rec.ID), valid(rec.By), valid(rec.Reason), rec.Class
	e.Message = valid(deadletter.Masked(rec.Message))
	e.Redrives, e.Redriven, e.Waiting = int32(rec.Redrives), int32(rec.Redriven), int32(rec.Waiting)
	return e, err == nil
}

func action(a deadletter.Action) string { return strings.ToLower(string(a)) }
