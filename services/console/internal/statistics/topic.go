// Package statistics reads the totals that the job of services/statistics writes, and sets them beside the read model's. The job is
// optional: its topic may be missing, and nothing here makes it. docs/statistics.md says what is in it.
package statistics

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

const (
	// days are shown, today included; of older rows nothing is held.
	days       = 7
	readWithin = 10 * time.Second
	readBytes  = 1 << 20
)

// place is the whole topic: the job makes it with one partition, and refuses another one.
var place = broker.TopicPartition{Topic: "statistics.v1"}

var (
	undecodable = telemetry.EventsUndecodable.Counter()
	here        = telemetry.By(telemetry.Participant.String("console"), telemetry.Topic.String(place.Topic))
)

// key of a record: what is counted, of which kind, since when.
type key struct {
	Figure string    `json:"figure"`
	Kind   string    `json:"kind"`
	Since  time.Time `json:"since"`
}

// row is a record's value; what a figure does not have is 0.
type row struct {
	N      int64   `json:"n"`
	Amount int64   `json:"amount"`
	Share  float64 `json:"share"`
}

// ErrPartitions says that the topic has several partitions, of which the newest row of a key could be in any.
var ErrPartitions = fault.New(fault.Permanent, "topic %s has several partitions, and must have one", place.Topic)

// Log is where the topic is read.
type Log interface {
	broker.Log
	// Logs are those of each topic, by number.
	Logs(ctx context.Context, topics []string) (map[string][]broker.TopicPartition, error)
}

// Topic reads statistics.v1 on, each time that it is asked.
type Topic struct {
	log  Log
	mu   sync.Mutex // held while the topic is read
	read state
}

// state is what is known of the topic.
type state struct {
	identity string // empty: there was none
	next     int64
	rows     map[key]row // the newest of each key
	last     time.Time   // when the newest record was written that could be read
}

// New returns the topic; it asks for nothing yet.
func New(log Log) *Topic { return &Topic{log: log} }

// end returns which topic it is, and its end. The error is NotFound when there is none, or nothing in it, and
// ErrPartitions when it could be in several logs.
func (t *Topic) end(ctx context.Context) (identity string, end int64, err error) {
	// First: to ask a missing topic for its end would be an outage to the client.
	ids, err := t.log.Identities(ctx, []string{place.Topic})
	if err != nil {
		return "", 0, err
	}
	var ends map[broker.TopicPartition]int64
	if ids[place.Topic] != "" {
		logs, err := t.log.Logs(ctx, []string{place.Topic})
		if err != nil {
			return "", 0, err
		}
		if len(logs[place.Topic]) > 1 {
			return "", 0, ErrPartitions
		}
		if ends, err = t.log.Ends(ctx, []broker.TopicPartition{place}); err != nil {
			return "", 0, err
		}
	}
	if ends[place] == 0 {
		return "", 0, fault.New(fault.NotFound, "there is nothing in %s", place.Topic)
	}
	return ids[place.Topic], ends[place], nil
}

// advance reads what is new, and forgets rows from before a day. The caller holds mu.
func (t *Topic) advance(ctx context.Context, since time.Time) error {
	maps.DeleteFunc(t.read.rows, func(k key, _ row) bool { return k.Since.Before(since) })
	id, end, err := t.end(ctx)
	if err != nil {
		return err
	}
	if id != t.read.identity {
		starts, err := t.log.Starts(ctx, []broker.TopicPartition{place})
		if err != nil {
			return err
		}
		t.read = state{identity: id, next: starts[place], rows: map[key]row{}}
	}
	for t.read.next < end {
		fetched, err := t.log.Fetch(ctx, []broker.Position{{TopicPartition: place, Offset: t.read.next, MaxBytes: readBytes}})
		for _, f := range fetched {
			for _, r := range f.Records {
				t.read.take(ctx, r, since)
			}
			t.read.next = max(t.read.next, f.Next)
			err = errors.Join(err, f.Err)
		}
		if errors.Is(err, broker.ErrOutOfRange) {
			t.read.identity = "" // the next time it begins anew
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take takes in a record. One that cannot be read leaves what was known of its key.
func (s *state) take(ctx context.Context, r broker.Record, since time.Time) {
	k, v, err := parse(r)
	if err != nil {
		slog.WarnContext(ctx, "statistics passed over", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", err)
		here.Add(ctx, undecodable, 1)
		return
	}
	s.last = r.Time
	switch {
	case r.Value == nil: // the job takes the row back
		delete(s.rows, k)
	case held(k) && !k.Since.Before(since):
		s.rows[k] = v
	}
}

func held(k key) bool {
	return slices.ContainsFunc(shown, func(f Figure) bool { return f.Name == k.Figure })
}

func parse(r broker.Record) (k key, v row, err error) {
	if r.Unreadable != nil {
		return k, v, r.Unreadable
	}
	if err := decode(r.Key, &k); err != nil {
		return k, v, fmt.Errorf("key: %w", err)
	}
	if k.Figure == "" || k.Since.IsZero() {
		return k, v, errors.New("key: figure and since must be set")
	}
	k.Since = k.Since.UTC() // equal times are equal keys
	if r.Value == nil {
		return k, v, nil
	}
	var whole struct { // the key's fields again, and the row's
		key
		row
	}
	if err := decode(r.Value, &whole); err != nil {
		return k, v, fmt.Errorf("value: %w", err)
	}
	return k, whole.row, nil
}

// decode reads one JSON object that has no other fields: those of another version would be figures of another meaning.
func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("must be one JSON object and nothing after it")
	}
	return nil
}
