package examples

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/schemas/choreography"
	_ "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	_ "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	_ "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
)

var fill = flag.Bool("fill", false, "write the wire bytes of examples that have none")

func all(t *testing.T) []Example {
	t.Helper()
	examples, err := All()
	if err != nil {
		t.Fatal(err)
	}
	return examples
}

func TestEveryEventHasAnExample(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	newest := map[string]Example{}
	for _, e := range all(t) {
		if e.N != newest[e.Type].N+1 {
			t.Errorf("%s: example %d follows %d", e.Type, e.N, newest[e.Type].N)
		}
		if e.N == 1 {
			got = append(got, e.Type)
		}
		newest[e.Type] = e
	}
	if diff := cmp.Diff(c.Types(), got); diff != "" {
		t.Errorf("events of the choreography and their examples (-events +examples):\n%s", diff)
	}
	for _, e := range newest {
		for _, field := range unset(decode(t, e).ProtoReflect()) {
			t.Errorf("%s: no field may be empty in the newest example; %s is: add %d.json", e.Type, field, e.N+1)
		}
	}
}

func TestTodaysCodeReadsThemAll(t *testing.T) {
	for _, e := range all(t) {
		t.Run(fmt.Sprintf("%s/%d", e.Type, e.N), func(t *testing.T) {
			if len(e.Wire) == 0 && *fill {
				e.Wire = fillIn(t, e)
			}
			got := decode(t, e)
			if diff := cmp.Diff(fromJSON(t, e), got, protocmp.Transform()); diff != "" {
				t.Errorf("the wire bytes do not mean the body (-body +wire):\n%s", diff)
			}
			again, err := proto.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			e.Wire = again
			if diff := cmp.Diff(got, decode(t, e), protocmp.Transform()); diff != "" {
				t.Errorf("written and read again it is another (-first +again):\n%s", diff)
			}
		})
	}
}

func TestEnvelopesAreWhole(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all(t) {
		t.Run(fmt.Sprintf("%s/%d", e.Type, e.N), func(t *testing.T) {
			source := strings.Split(e.Type, ".")[1]
			for key, want := range map[string]string{
				"ce_specversion": "1.0", "ce_type": e.Type, "ce_source": source, "ce_subject": e.Key, "content-type": "application/protobuf",
			} {
				if got := e.Header(key); got != want {
					t.Errorf("header %s is %q, want %q", key, got, want)
				}
			}
			if e.Header("ce_id") == "" || e.Key == "" {
				t.Error("no id or no key")
			}
			if _, err := time.Parse(time.RFC3339Nano, e.Header("ce_time")); err != nil {
				t.Error(err)
			}
			if c.Participants[source].Topic != e.Topic {
				t.Errorf("%s does not write %s", source, e.Topic)
			}
			if _, isFact := c.Evolve(source)[e.Type]; isFact != (e.Header("ce_sequence") != "") {
				t.Errorf("fact: %v, sequence: %q", isFact, e.Header("ce_sequence"))
			}
		})
	}
}

// A field that today's code does not know must not pass for read.
func TestAnUnknownFieldIsNoticed(t *testing.T) {
	e := all(t)[0]
	m := newMessage(t, e.Type)
	if err := proto.Unmarshal(append(bytes.Clone(e.Wire), 0xf8, 0x07, 0x01), m); err != nil {
		t.Fatal(err)
	}
	if len(unknown(m.ProtoReflect())) == 0 {
		t.Error("field 127 is not noticed")
	}
	if got := unset(newMessage(t, e.Type).ProtoReflect()); len(got) == 0 {
		t.Error("an empty message has no empty field")
	}
}

func newMessage(t *testing.T, full string) proto.Message {
	t.Helper()
	mt, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(full))
	if err != nil {
		t.Fatalf("%s: %v", full, err)
	}
	return mt.New().Interface()
}

func decode(t *testing.T, e Example) proto.Message {
	t.Helper()
	m := newMessage(t, e.Type)
	if err := proto.Unmarshal(e.Wire, m); err != nil {
		t.Fatalf("%s/%d: %v", e.Type, e.N, err)
	}
	for _, where := range unknown(m.ProtoReflect()) {
		t.Errorf("%s/%d: %s has fields that today's code does not know", e.Type, e.N, where)
	}
	return m
}

func fromJSON(t *testing.T, e Example) proto.Message {
	t.Helper()
	m := newMessage(t, e.Type)
	if err := protojson.Unmarshal(e.Body, m); err != nil {
		t.Fatalf("%s/%d: %v", e.Type, e.N, err)
	}
	return m
}

func fillIn(t *testing.T, e Example) []byte {
	t.Helper()
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(fromJSON(t, e))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(e.Type, fmt.Sprintf("%d.json", e.N))
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	filled := bytes.Replace(data, []byte(`"wire": ""`), fmt.Appendf(nil, `"wire": %q`, base64.StdEncoding.EncodeToString(wire)), 1)
	if err := os.WriteFile(name, filled, 0o644); err != nil {
		t.Fatal(err)
	}
	return wire
}

// unset names the fields of a message, and of the messages in it, that have their zero value. What Google's own messages hold is
// their matter: a timestamp of a whole second has no nanoseconds.
func unset(m protoreflect.Message) (names []string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			names = append(names, string(fd.FullName()))
			continue
		}
		for _, inner := range messagesIn(m, fd) {
			if inner.Descriptor().FullName().Parent() != "google.protobuf" {
				names = append(names, unset(inner)...)
			}
		}
	}
	return names
}

func unknown(m protoreflect.Message) (names []string) {
	if len(m.GetUnknown()) > 0 {
		names = append(names, string(m.Descriptor().FullName()))
	}
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		for _, inner := range messagesIn(m, fd) {
			names = append(names, unknown(inner)...)
		}
		return true
	})
	return names
}

// messagesIn are the messages that a field holds. No event has a map.
func messagesIn(m protoreflect.Message, fd protoreflect.FieldDescriptor) (inner []protoreflect.Message) {
	switch {
	case fd.Message() == nil:
	case fd.IsList():
		for i := range m.Get(fd).List().Len() {
			inner = append(inner, m.Get(fd).List().Get(i).Message())
		}
	default:
		inner = append(inner, m.Get(fd).Message())
	}
	return inner
}
