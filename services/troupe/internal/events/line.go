package events

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/pkg/broker"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Line is a record as it is printed. Nothing of the record is left out.
type Line struct {
	Topic     string    `json:"topic"`
	Partition int       `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`
	Key       text      `json:"key"`
	Headers   headers   `json:"headers"`
	// Data is the payload as JSON; DataBase64 are its bytes, if Data does not say all of them, and Error says why.
	Data       json.RawMessage `json:"data,omitempty"`
	DataBase64 []byte          `json:"data_base64,omitempty"`
	Error      string          `json:"error,omitempty"`
}

// text is a string in JSON where it is UTF-8, and {"base64": …} otherwise.
type text []byte

// MarshalJSON implements json.Marshaler.
func (t text) MarshalJSON() ([]byte, error) {
	switch {
	case t == nil:
		return []byte("null"), nil
	case utf8.Valid(t):
		return json.Marshal(string(t))
	}
	return json.Marshal(map[string]string{"base64": base64.StdEncoding.EncodeToString(t)})
}

// headers are an object in JSON. One that is there several times has a list of its values.
type headers broker.Headers

// MarshalJSON implements json.Marshaler.
func (h headers) MarshalJSON() ([]byte, error) {
	all := map[string]any{}
	for key, value := range broker.Headers(h).All() {
		switch before := all[key].(type) {
		case nil:
			all[key] = text(value)
		case text:
			all[key] = []text{before, value}
		case []text:
			all[key] = append(before, value)
		}
	}
	return json.Marshal(all)
}

// header is the last value of a key.
func (l Line) header(key string) string {
	value, _ := broker.Headers(l.Headers).Last(key)
	return string(value)
}

// Type is that of the event: the full name of the payload's message.
func (l Line) Type() string { return l.header("ce_type") }

// Happened is when the event was decided; where the record does not say, when it was appended.
func (l Line) Happened() time.Time {
	if at, err := time.Parse(time.RFC3339Nano, l.header("ce_time")); err == nil {
		return at
	}
	return l.Time
}

// LineOf decodes a record. One that cannot be decoded is a line too, with its bytes and the reason.
func LineOf(r broker.Record) Line {
	l := Line{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Time.UTC(), Key: text(r.Key), Headers: headers(r.Headers),
	}
	var err error
	if r.Unreadable != nil {
		err = r.Unreadable
	} else {
		l.Data, err = decode(l.Type(), r.Value)
	}
	if err != nil {
		l.DataBase64, l.Error = r.Value, err.Error()
	}
	return l
}

func decode(name string, value []byte) (json.RawMessage, error) {
	message, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	switch {
	case err != nil && len(value) == 0: // its headers say everything
		return nil, nil
	case name == "" && json.Valid(value): // of an activity topic
		return value, nil
	case name == "":
		return nil, errors.New("the record has no ce_type, which names the message")
	case err != nil:
		return nil, fmt.Errorf("no schema here has the message %q", name)
	}
	body := message.New()
	if err := proto.Unmarshal(value, body.Interface()); err != nil {
		return nil, fmt.Errorf("the payload is no %s: %w", name, err)
	}
	raw, err := protojson.Marshal(body.Interface())
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer // protojson puts spaces in by chance
	if err := json.Compact(&compact, raw); err != nil {
		return nil, err
	}
	return compact.Bytes(), lacking(body)
}

// lacking is an error about fields of a message that its schema does not have: a newer release wrote them.
func lacking(body protoreflect.Message) error {
	unknown := 0
	_ = protorange.Range(body, func(p protopath.Values) error { // push returns no error
		if m, ok := p.Index(-1).Value.Interface().(protoreflect.Message); ok {
			unknown += len(m.GetUnknown())
		}
		return nil
	})
	if unknown == 0 {
		return nil
	}
	return fmt.Errorf("%d bytes of it are fields that the schema of %s does not have", unknown, body.Descriptor().FullName())
}
