// Package activity is the format of the records of <participant>.activity.v1: what happened to an event that is worth
// drawing and is not a fact. They are told with best effort and kept for a day; nothing may rest on them.
package activity

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Kept is how long a record is kept.
const Kept = 24 * time.Hour

// Topic is where a participant tells of its activity. Only it writes there.
func Topic(participant string) string { return participant + ".activity.v1" }

// Kind says what happened.
type Kind string

// The kinds.
const (
	Retried      Kind = "retried"      // an attempt failed, and another follows unless it is parked
	Deduplicated Kind = "deduplicated" // it was answered or parked before, and changed nothing
	Held         Kind = "held"         // it waits for its cause
	Parked       Kind = "parked"       // it was published as a dead letter
)

// Activity is one exception. It holds nothing of an event's body, and no text of an error.
type Activity struct {
	Kind Kind `json:"kind"`
	// Order that the event is about: the record's key.
	Order string `json:"-"`
	// EventID, EventType, Topic, Partition and Offset are the event's; EventType may be empty. A deadline lies in no
	// topic.
	EventID   string `json:"event_id"`
	EventType string `json:"event_type,omitempty"`
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	// Reason is the class of the error, of a parked event "behind" too; of a deduplicated one what it was before:
	// answered, parked.
	Reason string `json:"reason"`
	// Attempts that failed so far. Retried and Held only.
	Attempts int       `json:"attempts,omitempty"`
	At       time.Time `json:"at"`
}

// Record makes the record that tells of it.
func (a Activity) Record(participant string) broker.Record {
	value, _ := json.Marshal(a) // plain data, cannot fail
	return broker.Record{Topic: Topic(participant), Partition: a.Partition, Key: []byte(a.Order), Value: value, Time: a.At}
}

// Parse reads a record. The error is of class Permanent and names the field at fault.
func Parse(r broker.Record) (Activity, error) {
	a := Activity{Order: string(r.Key)}
	bad := func(field, rule string, args ...any) (Activity, error) {
		return Activity{}, fault.New(fault.Permanent, "record %s/%d@%d: "+field+" "+rule,
			append([]any{r.Topic, r.Partition, r.Offset}, args...)...)
	}
	if err := json.Unmarshal(r.Value, &a); err != nil {
		return bad("value", "must be a JSON object of an activity: %w", err)
	}
	if !slices.Contains([]Kind{Retried, Deduplicated, Held, Parked}, a.Kind) {
		return bad("kind", "must be retried, deduplicated, held or parked, is %q", string(a.Kind))
	}
	if a.EventID == "" {
		return bad("event_id", "must not be empty")
	}
	if a.At.IsZero() {
		return bad("at", "must be a time")
	}
	return a, nil
}
