package check

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	// The bodies of events, by their types.
	_ "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	_ "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	_ "github.com/troupe-dev/troupe/schemas/gen/payment/v1"

	"github.com/troupe-dev/troupe/schemas/choreography"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// event is a fact or a request where it lies.
type event struct {
	choreography.Recorded
	time time.Time
	body proto.Message
}

// String says what and where it is.
func (e event) String() string {
	return fmt.Sprintf("%s %s at %s", e.Type[strings.LastIndexByte(e.Type, '.')+1:], e.ID, e.place())
}

func (e event) place() string { return place(e.Topic, e.Partition, e.Offset) }

func place(topic string, partition int, offset int64) string {
	return fmt.Sprintf("%s/%d@%d", topic, partition, offset)
}

func headers(r Record) map[string]string {
	all := map[string]string{}
	if r.Headers != nil {
		for key, value := range r.Headers {
			if _, known := all[key]; !known {
				all[key] = string(value)
			}
		}
	}
	return all
}

// read reads a CloudEvent in binary mode (Kafka protocol binding 1.0.2), whose body is the message that its type names.
func read(r Record) (e event, err error) {
	h := headers(r)
	bad := func(attribute, rule string, args ...any) (event, error) {
		at := place(r.Topic, r.Partition, r.Offset)
		return e, fmt.Errorf("record %s: attribute %s: %s", at, attribute, fmt.Sprintf(rule, args...))
	}
	e.Recorded = choreography.Recorded{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, OrderID: h["ce_subject"],
		Type: h["ce_type"], Source: h["ce_source"], ID: h["ce_id"],
		PreviousID: h["ce_previousid"], CausationID: h["ce_causationid"],
	}
	if h["ce_specversion"] != "1.0" {
		return bad("specversion", "must be 1.0, is %q", h["ce_specversion"])
	}
	for _, name := range []string{"id", "type", "source", "subject"} {
		if h["ce_"+name] == "" {
			return bad(name, "must not be empty")
		}
	}
	if e.OrderID != string(r.Key) {
		return bad("subject", "must equal the record's key")
	}
	if content := h["content-type"]; content != "application/protobuf" {
		return bad("content-type", "must be application/protobuf, is %q", content)
	}
	if e.time, err = time.Parse(time.RFC3339Nano, h["ce_time"]); err != nil {
		return bad("time", "must be RFC 3339")
	}
	if seq := h["ce_sequence"]; seq != "" {
		if e.Sequence, err = strconv.ParseUint(seq, 10, 64); err != nil || e.Sequence == 0 {
			return bad("sequence", "must be a positive integer, is %q", seq)
		}
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if err != nil {
		return bad("type", "%q is unknown", e.Type)
	}
	e.body = kind.New().Interface()
	if err := proto.Unmarshal(r.Value, e.body); err != nil {
		return bad("type", "the body is none of %s: %v", e.Type, err)
	}
	return e, nil
}

// control is a record of a topic of dead letters, or of requests about them.
type control struct {
	topic, place, order string
	headers             map[string]string
}

func controlOf(r Record) control {
	return control{r.Topic, place(r.Topic, r.Partition, r.Offset), string(r.Key), headers(r)}
}

func (c control) kind() string { return c.headers["__dlq.record"] }

// waits is true for a letter, false for what became of one.
func (c control) waits() bool { return c.kind() == "letter" }

// of is where the event lies that a letter is about.
func (c control) of() string {
	at := func(what string) string { return c.headers["__dlq.errors."+what] }
	return at("topic") + "/" + at("partition") + "@" + at("offset")
}

// participant that parked it.
func (c control) participant() string { return strings.TrimSuffix(c.topic, ".dead-letters.v1") }
