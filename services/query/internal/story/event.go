// Package story reads events from the log itself: all those of one order, each after its cause, and the live tail of
// everything.
package story

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Event is one event as it is shown.
type Event struct {
	event.Event
	// Kind is KindEvent, KindDeadLetter, that of an outcome, or an Exceptional one. All but the first say what happened to an event
	// at Participant, and for what Class and Message.
	Kind        string
	Participant string
	Class       string
	Message     string
	Topic       string
	Partition   int
	Offset      int64
	// Body is protobuf JSON without what is private; nil when the body cannot be decoded.
	Body json.RawMessage
	// Gap since its cause; nil when the cause is not among the events.
	Gap *time.Duration
}

// mask replaces what is kept secret but shown to be there. Other private fields are left out: a payment method, and the
// hash of the request, from which one could find the address by trying.
const mask = "***"

// show makes the Event of a record. ok is false for a record whose envelope cannot be read.
func show(r broker.Record) (e Event, ok bool) {
	if strings.HasSuffix(r.Topic, activity.Topic("")) {
		return showActivity(r)
	}
	env, err := event.FromRecord(r)
	if err != nil {
		return Event{}, false
	}
	e = Event{Event: env, Kind: KindEvent, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	if m, err := event.Decode(env); err == nil {
		e.Body = body(m.Body)
	}
	return e, true
}

func body(m proto.Message) json.RawMessage {
	hide(m.ProtoReflect())
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, text) != nil { // protojson varies its white space on purpose
		return nil
	}
	return b.Bytes()
}

// hide masks private fields, in messages inside the message too.
func hide(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Name() == "email" && f.Kind() == protoreflect.StringKind && !f.IsList() && !f.IsMap():
			m.Set(f, protoreflect.ValueOfString(mask))
		case f.Name() == "payment_method", f.Name() == "body_hash", f.Name() == "email":
			m.Clear(f)
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { hide(v.Message()); return true })
			}
		case f.Message() != nil && f.IsList():
			for i := range v.List().Len() {
				hide(v.List().Get(i).Message())
			}
		case f.Message() != nil:
			hide(v.Message())
		}
		return true
	})
}
