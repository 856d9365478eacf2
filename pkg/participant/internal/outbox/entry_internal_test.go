package outbox

import (
	"reflect"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// What the outbox keeps is read back as it was, nil apart from empty; what is cut off anywhere is refused.
func TestEntryIsReadBack(t *testing.T) {
	for _, e := range []Entry{
		{Order: "o1", ID: "a", Seq: 300, Prev: "b", Record: broker.Record{
			Topic: "clerk.events.v1", Partition: 200, Key: []byte("o1"), Value: []byte("\x00body"),
			Headers: broker.HeadersOf("ce_id", "a", "empty", "", "ce_id", "again").Append("", nil),
		}},
		{Order: "o2", ID: "letter", Record: broker.Record{Topic: "clerk.dead-letters.v1", Key: []byte("o2"), Value: []byte{}}},
		{Order: "o3", ID: "tombstone", Record: broker.Record{Topic: "clerk.dead-letters.v1", Key: []byte("o3")}},
	} {
		body := e.encode()
		got, err := decode(body)
		if err != nil || !reflect.DeepEqual(*got, e) {
			t.Errorf("got %+v, %v, want %+v", got, err, e)
		}
		for n := range len(body) {
			if got, err := decode(body[:n]); err == nil {
				t.Errorf("the first %d bytes of %d are read as %+v", n, len(body), got)
			}
		}
		if _, err := decode(body + "x"); err == nil {
			t.Error("more than an entry is read as one")
		}
		e.Record.Headers = broker.Headers("\x02a\x04b")
		if got, err := decode(e.encode()); err == nil {
			t.Errorf("headers that are cut off are read as %q", got.Record.Headers)
		}
	}
}
