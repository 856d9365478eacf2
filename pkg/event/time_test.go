package event_test

import (
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/event"
)

// A time that is of no year with four digits once it is in UTC has no form in JSON: it is no event's.
func TestTimeOfAnEvent(t *testing.T) {
	for text, valid := range map[string]bool{
		"2026-01-02T03:04:05Z": true, "9999-12-31T23:59:59Z": true, "0001-01-01T00:00:00Z": true,
		"9999-12-31T23:59:59-14:00": false, "0001-01-01T00:00:00+01:00": false, "yesterday": false,
	} {
		r := event.ToRecord(event.Event{ID: "1", Type: "t", Source: "s", Subject: "o1"}, "x.events.v1", 0)
		r.Headers = r.Headers.Without(func(key string) bool { return key == "ce_time" }).Append("ce_time", []byte(text))
		_, err := event.FromRecord(r)
		if (err == nil) != valid || err != nil && !strings.Contains(err.Error(), "attribute time") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
