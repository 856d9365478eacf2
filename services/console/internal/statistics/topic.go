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
	days = 7
	// lookEvery is how long an answer of Exists counts, and lookWithin how long a page waits for one.
	lookEvery  = 30 * time.Second
	lookWithin = 500 * time.Millisecond
	readWithin = 10 * time.Second
	readBytes  = 1 << 20
)

// place is the whole topic: the job makes it with one partition.
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

// Topic reads statistics.v1 on, each time that it is asked.
type Topic struct {
	log broker.Log

	mu       sync.Mutex // held while the topic is read
	identity string     // of the topic that was read; empty: there is none
	next     int64
	rows     map[key]row // the newest of each key
	last     time.Time   // of the newest record that could be read
	passed   int         // records that could not be read
	odd      string      // which was the newest of them, and why

	looking sync.Mutex
	looked  time.Time
	exists  bool
}

// New returns the topic; it asks for nothing yet.
func New(log broker.Log) *Topic { return &Topic{log: log} }

// Exists is true when the topic has records. It waits half a second at most, and asks again after 30 s.
func (t *Topic) Exists(ctx context.Context) bool {
	t.looking.Lock()
	defer t.looking.Unlock()
	if time.Since(t.looked) < lookEvery {
		return t.exists
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	ids, err := t.log.Identities(ctx, []string{place.Topic})
	var ends map[broker.TopicPartition]int64
	if err == nil && ids[place.Topic] != "" {
		ends, err = t.log.Ends(ctx, []broker.TopicPartition{place})
	}
	t.exists, t.looked = err == nil && ends[place] > 0, time.Now()
	return t.exists
}

// read reads what is new, and forgets rows from before a day. The caller holds mu.
func (t *Topic) read(ctx context.Context, since time.Time) error {
	maps.DeleteFunc(t.rows, func(k key, _ row) bool { return k.Since.Before(since) })
	ids, err := t.log.Identities(ctx, []string{place.Topic})
	if err != nil {
		return err
	}
	id := ids[place.Topic]
	if id == "" {
		t.identity = ""
		return fault.New(fault.NotFound, "there is no topic %s", place.Topic)
	}
	ends, err := t.log.Ends(ctx, []broker.TopicPartition{place})
	if err != nil {
		return err
	}
	if id != t.identity {
		starts, err := t.log.Starts(ctx, []broker.TopicPartition{place})
		if err != nil {
			return err
		}
		t.identity, t.next, t.rows = id, starts[place], map[key]row{}
		t.last, t.passed, t.odd = time.Time{}, 0, ""
	}
	for t.next < ends[place] {
		fetched, err := t.log.Fetch(ctx, []broker.Position{{TopicPartition: place, Offset: t.next, MaxBytes: readBytes}})
		for _, f := range fetched {
			for _, r := range f.Records {
				t.take(ctx, r, since)
			}
			t.next = max(t.next, f.Next)
			err = errors.Join(err, f.Err)
		}
		if errors.Is(err, broker.ErrOutOfRange) {
			t.identity = "" // the next read begins anew
		}
		if err != nil {
			return err
		}
	}
	if ends[place] == 0 {
		return fault.New(fault.NotFound, "topic %s has no records", place.Topic)
	}
	return nil
}

// take takes in a record. One that cannot be read leaves what was known of its key.
func (t *Topic) take(ctx context.Context, r broker.Record, since time.Time) {
	k, v, err := parse(r)
	if err != nil {
		slog.WarnContext(ctx, "statistics passed over", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "error", err)
		here.Add(ctx, undecodable, 1)
		t.passed++
		t.odd = fmt.Sprintf("%s/%d@%d: %v", r.Topic, r.Partition, r.Offset, err)
		return
	}
	t.last = r.Time
	switch {
	case r.Value == nil: // the job takes the row back
		delete(t.rows, k)
	case held(k) && !k.Since.Before(since):
		t.rows[k] = v
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
