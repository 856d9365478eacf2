package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/problem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// maxEvent is how large an edited event may be, in bytes: less than what a topic takes, with room for headers.
const maxEvent = 900 << 10

// edited encodes the new body of a record from protobuf JSON: it must be one of the event's type, whole.
func edited(came broker.Record, payload json.RawMessage) ([]byte, error) {
	e, _ := event.FromRecord(came) // what is missing in the envelope is not what an edit can mend; whoever parked it will say so
	mt, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if err != nil {
		return nil, invalid(problem.Field{Field: "/letter_id", Detail: "is an event of no known type, which cannot be edited"})
	}
	if fields := unknown(mt.Descriptor(), payload, "/payload"); len(fields) > 0 {
		return nil, invalid(fields...)
	}
	m := mt.New().Interface()
	if err := protojson.Unmarshal(payload, m); err != nil {
		return nil, invalid(problem.Field{Field: "/payload", Detail: said(err)})
	}
	body, err := event.Encode(m)
	if err == nil && len(body) > maxEvent {
		return nil, invalid(problem.Field{Field: "/payload", Detail: "must be at most " + strconv.Itoa(maxEvent) + " bytes when it is encoded"})
	}
	return body, err
}

func invalid(fields ...problem.Field) error {
	return problem.New(http.StatusUnprocessableEntity, "invalid-payload", "Invalid payload", fields[0].Field+": "+fields[0].Detail, fields...)
}

// where begins the text of protojson's errors, with white space that varies on purpose: the place is in another text than the caller's.
var where = regexp.MustCompile(`^proto:\s*(\(line \d+:\d+\):\s*)?`)

func said(err error) string {
	return where.ReplaceAllString(strings.ReplaceAll(err.Error(), "\u00a0", " "), "")
}

// unknown names the fields of a JSON object that its message does not have, and says when it is no object. Well-known types
// have forms of their own, which protojson knows.
func unknown(d protoreflect.MessageDescriptor, text json.RawMessage, at string) (found []problem.Field) {
	if strings.HasPrefix(string(d.FullName()), "google.protobuf.") {
		return nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil || object == nil {
		return []problem.Field{{Field: at, Detail: "must be an object"}}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		f := d.Fields().ByJSONName(name)
		if f == nil {
			f = d.Fields().ByTextName(name)
		}
		switch {
		case f == nil:
			found = append(found, problem.Field{Field: at + "/" + name, Detail: "is not a known field of " + string(d.FullName())})
		case f.IsMap() || f.Message() == nil || string(object[name]) == "null":
		case f.IsList():
			var items []json.RawMessage
			_ = json.Unmarshal(object[name], &items) // no list: protojson says so
			for i, item := range items {
				found = append(found, unknown(f.Message(), item, at+"/"+name+"/"+strconv.Itoa(i))...)
			}
		default:
			found = append(found, unknown(f.Message(), object[name], at+"/"+name)...)
		}
	}
	return found
}
