package event_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
)

// The table of envelopes, which services/statistics passes too: which are refused and for which attribute, and of the
// others the time and the sequence that are read.
func TestEnvelopes(t *testing.T) {
	file, err := os.Open("testdata/envelopes.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var table struct {
		Key     string
		Headers map[string]string
		Cases   []struct {
			Name     string
			Key      *string
			Headers  map[string]*string // in place of those of the table; null: it has none
			Long     map[string]int     // values of so many bytes; key: the record's key
			Refused  string             // the attribute; empty: it is accepted
			Time     *time.Time
			Sequence string
		}
	}
	read := json.NewDecoder(file)
	read.DisallowUnknownFields()
	if err := read.Decode(&table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) == 0 {
		t.Fatal("the table has no cases")
	}
	for _, c := range table.Cases {
		t.Run(c.Name, func(t *testing.T) {
			key, headers := table.Key, maps.Clone(table.Headers)
			if c.Key != nil {
				key = *c.Key
			}
			for name, value := range c.Headers {
				delete(headers, name)
				if value != nil {
					headers[name] = *value
				}
			}
			for name, n := range c.Long {
				if name == "key" {
					key = strings.Repeat("x", n)
				} else {
					headers[name] = strings.Repeat("x", n)
				}
			}
			r := broker.Record{Key: []byte(key)}
			for _, name := range slices.Sorted(maps.Keys(headers)) {
				r.Headers = r.Headers.Append(name, []byte(headers[name]))
			}
			e, err := event.FromRecord(r)
			switch {
			case c.Refused != "":
				if err == nil || !strings.Contains(err.Error(), "attribute "+c.Refused+":") {
					t.Errorf("attribute %s: %v", c.Refused, err)
				}
			case err != nil:
				t.Error(err)
			case c.Time != nil && !e.Time.Equal(*c.Time):
				t.Errorf("it is of %v, not %v", e.Time, c.Time)
			case c.Sequence != "" && strconv.FormatUint(e.Sequence, 10) != c.Sequence:
				t.Errorf("its sequence is %d, not %s", e.Sequence, c.Sequence)
			}
		})
	}
}
