package event

import (
	"crypto/sha1" //nolint:gosec // as RFC 9562 says of UUIDv5
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// ContentType of every body.
const ContentType = "application/protobuf"

// Event is a fact about one order, or a request. What was read from a record holds views of it: see FromRecord.
type Event struct {
	// ID is unique per fact and the same for every copy of it: see MakeID.
	ID string
	// Type is the full name of the body's message, such as troupe.order.v1.OrderPlaced.
	Type string
	// Source is the name of the participant that published it.
	Source string
	// Subject is the order id, and the record's key.
	Subject string
	// Time the event was decided, UTC.
	Time time.Time
	// Sequence numbers the facts of one order in one topic from 1. 0: a request, a letter, an outcome; not in the chain.
	Sequence uint64
	// PreviousID is the id of the order's fact before this one in the same topic; empty for the first.
	PreviousID string
	// CausationID is the id of the event that this one answers; empty when it came in by an API.
	CausationID string
	// TraceParent is the W3C trace context of the transmission's start (CloudEvents distributed tracing extension): it
	// never changes on the way. The per-hop context travels in the plain traceparent header, which Event does not hold.
	TraceParent string
	// Data is the encoded body.
	Data []byte
}

// Message is an event with its decoded body.
type Message struct {
	Event
	Body proto.Message
}

// Header names. The attributes of our own (sequence, previousid, causationid) are CloudEvents extensions.
const (
	headerSpecVersion = "ce_specversion"
	headerID          = "ce_id"
	headerType        = "ce_type"
	headerSource      = "ce_source"
	headerSubject     = "ce_subject"
	headerTime        = "ce_time"
	headerSequence    = "ce_sequence"
	headerPrevious    = "ce_previousid"
	headerCausation   = "ce_causationid"
	headerTraceParent = "ce_traceparent"
	headerContentType = "content-type"
)

// Bounds of an envelope. Ids become keys in stores and headers of what answers the event, so that they must stay small
// beside it.
const (
	// MaxName bounds the key and each attribute, in bytes.
	MaxName = 1 << 10
	// maxHeaders bounds all headers together: Kafka bounds them only with their record.
	maxHeaders = 64 << 10
)

// IsAttribute says whether a header is part of the envelope.
func IsAttribute(header string) bool {
	return strings.HasPrefix(header, "ce_") || header == headerContentType
}

// namespace of all made ids. Changing it makes every id of the past unknown.
var namespace = uuid.MustParse("5f1c2b1e-6b0f-5a86-9d0c-0e5a4a1c7d11")

// MakeID makes the id of a thing from what it comes from, so that deciding the same thing twice gives the same id:
// UUIDv5 over the parts, which are separated unambiguously.
func MakeID(parts ...string) string {
	b := append(make([]byte, 0, 256), namespace[:]...)
	for _, p := range parts {
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(b, ':')
		b = append(b, p...)
	}
	sum := sha1.Sum(b) // as uuid.NewSHA1, which would allocate six times
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80
	return id.String()
}

// FactID is the id of a fact of a type that a participant decides in answer to a cause.
func FactID(causeID, participant, typ string) string { return MakeID(causeID, participant, typ) }

// TypeOf returns the event type of a body.
func TypeOf(body proto.Message) string { return string(body.ProtoReflect().Descriptor().FullName()) }

// Encode returns the deterministic encoding of a body. It fails only on a message that cannot be encoded (invalid
// UTF-8).
func Encode(body proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(body)
}

// Decode decodes the body by the event's type. The error is of class Permanent: the bytes will not get better.
func Decode(e Event) (Message, error) {
	mt, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if err != nil {
		return Message{}, fault.New(fault.Permanent, "event %s: unknown type %q", e.ID, e.Type)
	}
	body := mt.New().Interface()
	if err := proto.Unmarshal(e.Data, body); err != nil {
		return Message{}, fault.New(fault.Permanent, "event %s of type %s: undecodable body: %w", e.ID, e.Type, err)
	}
	return Message{Event: e, Body: body}, nil
}

// attributesBytes is what the headers of an event take at most beside the strings in it.
const attributesBytes = 256

// ToRecord makes the record of an event for a topic and partition. extra headers follow the event's own.
func ToRecord(e Event, topic string, partition int, extra ...broker.Headers) broker.Record {
	most := attributesBytes + len(e.ID) + len(e.Type) + len(e.Source) + len(e.Subject) + len(e.PreviousID) +
		len(e.CausationID) + len(e.TraceParent)
	for _, more := range extra {
		most += len(more)
	}
	h := make(broker.Headers, 0, most)
	add := func(k, v string) {
		if v != "" {
			h = h.Append(k, []byte(v))
		}
	}
	add(headerSpecVersion, "1.0")
	add(headerID, e.ID)
	add(headerType, e.Type)
	add(headerSource, e.Source)
	add(headerSubject, e.Subject)
	key := []byte(h[len(h)-len(e.Subject) : len(h) : len(h)]) // the same bytes
	var buf [64]byte
	h = h.Append(headerTime, e.Time.UTC().AppendFormat(buf[:0], time.RFC3339Nano))
	if e.Sequence > 0 {
		h = h.Append(headerSequence, strconv.AppendUint(buf[:0], e.Sequence, 10))
	}
	add(headerPrevious, e.PreviousID)
	add(headerCausation, e.CausationID)
	add(headerTraceParent, e.TraceParent)
	add(headerContentType, ContentType)
	for _, more := range extra {
		h = append(h, more...)
	}
	return broker.Record{Topic: topic, Partition: partition, Key: key, Value: e.Data, Headers: slices.Clip(h)}
}

// FromRecord reads the envelope without decoding the body. The error is of class Permanent and names the attribute at
// fault; the returned Event then holds what could be read.
//
// The attributes are views of the record: whoever keeps one longer than the record clones it (strings.Clone), or keeps
// the record's bytes, and those of its neighbours in the log, in memory with it.
func FromRecord(r broker.Record) (Event, error) {
	e := Event{Data: r.Value}
	bad := func(attribute, rule string) (Event, error) {
		return e, fault.New(fault.Permanent, "record %s/%d@%d: attribute %s: %s", r.Topic, r.Partition, r.Offset,
			attribute, rule)
	}
	switch {
	case r.Unreadable != nil:
		return e, r.Unreadable
	case len(r.Headers) > maxHeaders:
		return bad("headers", "must have at most 65536 bytes together, have "+strconv.Itoa(len(r.Headers)))
	}
	var spec, when, seq, content []byte
	for key, value := range r.Headers.All() {
		switch key {
		case headerSpecVersion:
			spec = value
		case headerID:
			e.ID = view(value)
		case headerType:
			e.Type = view(value)
		case headerSource:
			e.Source = view(value)
		case headerSubject:
			e.Subject = view(value)
		case headerTime:
			when = value
		case headerSequence:
			seq = value
		case headerPrevious:
			e.PreviousID = view(value)
		case headerCausation:
			e.CausationID = view(value)
		case headerTraceParent:
			e.TraceParent = view(value)
		case headerContentType:
			content = value
		default:
			continue
		}
		if len(value) > MaxName {
			return bad(strings.TrimPrefix(key, "ce_"), "must have at most 1024 bytes, has "+strconv.Itoa(len(value)))
		}
	}
	switch {
	case len(r.Key) == 0:
		return bad("key", "a record must have a key, the order id")
	case len(r.Key) > MaxName:
		return bad("key", "must have at most 1024 bytes, has "+strconv.Itoa(len(r.Key)))
	case string(spec) != "1.0":
		return bad("specversion", "must be 1.0, is "+strconv.Quote(string(spec)))
	case e.ID == "":
		return bad("id", "must not be empty")
	case e.Type == "":
		return bad("type", "must not be empty")
	case e.Source == "":
		return bad("source", "must not be empty")
	case e.Subject != string(r.Key):
		return bad("subject", "must equal the record's key")
	case string(content) != ContentType:
		return bad("content-type", "must be "+ContentType+", is "+strconv.Quote(string(content)))
	}
	if err := e.Time.UnmarshalText(when); err != nil {
		return bad("time", "must be RFC 3339")
	}
	if y := e.Time.UTC().Year(); y < 1 || y > 9999 { // by its offset; JSON has no form for it
		return bad("time", "must be of the years 1 to 9999 in UTC")
	}
	if len(seq) > 0 {
		n, err := strconv.ParseUint(string(seq), 10, 64)
		if err != nil || n == 0 {
			return bad("sequence", "must be a positive integer")
		}
		e.Sequence = n
	}
	if e.Sequence > 1 && e.PreviousID == "" {
		return bad("previousid", "must be set from the second fact on")
	}
	return e, nil
}

// view is b as a string, without a copy. b must never change: nobody writes into a record that was read or made
// (broker.Record).
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
