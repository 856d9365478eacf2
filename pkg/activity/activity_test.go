package activity_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func TestRecordSaysWhatWasTold(t *testing.T) {
	want := activity.Activity{
		Kind: activity.Retried, Order: "o1", EventID: "e1", EventType: "t", Topic: "desk.events.v1", Partition: 3, Offset: 17,
		Reason: "unavailable", Attempts: 4, At: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC),
	}
	r := want.Record("clerk")
	if r.Topic != "clerk.activity.v1" || r.Partition != 3 || string(r.Key) != "o1" || !r.Time.Equal(want.At) {
		t.Errorf("record: %+v", r)
	}
	if got, err := activity.Parse(r); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseNamesTheField(t *testing.T) {
	for value, field := range map[string]string{
		``:                                "value",
		`{"kind":1}`:                      "kind",
		`{"kind":"danced"}`:               "kind",
		`{"kind":"held"}`:                 "event_id",
		`{"kind":"held","event_id":"e1"}`: "at",
	} {
		_, err := activity.Parse(broker.Record{Topic: "clerk.activity.v1", Value: []byte(value)})
		if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v does not name %s", value, err, field)
		}
	}
}
