package check

import (
	"context"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/schemas/choreography"
)

// participants that publish facts.
var participants = []string{"order", "payment", "notification"}

// FactTopics are where the participants publish.
func FactTopics() []string {
	var topics []string
	for _, p := range participants {
		topics = append(topics, participant.FactsTopic(p))
	}
	return topics
}

// redriveTopic is where operators ask a participant to bring letters back.
func redriveTopic(p string) string { return p + ".redrive.v1" }

// log is the whole log.
type log struct {
	// Records counts all of the topics of facts, copies too.
	Records int
	// Orders has every record of each order, by topic in the log's order.
	Orders map[string][]broker.Record
	// Accepted has the facts and requests of each order that every reader must take: the first of the chain, no copies.
	Accepted map[string][]event.Message

	poison    []broker.Record
	letters   []broker.Record // and what became of them
	requests  []broker.Record
	events    []recorded
	envelopes []choreography.Recorded
	broken    []Violation
}

// recorded is an event where it lies.
type recorded struct {
	event.Event
	broker.Record
}

// readLog reads every topic from its start to its end as it is now.
func (s System) readLog(ctx context.Context) (*log, error) {
	l := &log{Orders: map[string][]broker.Record{}, Accepted: map[string][]event.Message{}}
	for _, p := range participants {
		records, err := s.Log.Topic(ctx, participant.FactsTopic(p), s.Partitions)
		if err != nil {
			return nil, err
		}
		heads := map[string]event.Event{}
		seen := map[string]bool{}
		for _, r := range records {
			l.Records++
			if header(r, PoisonHeader) != "" {
				l.poison = append(l.poison, r)
				continue
			}
			l.take(r, s.Partitions, heads, seen)
		}
		letters, err := s.Log.Topic(ctx, participant.DeadLettersTopic(p), s.Partitions)
		if err != nil {
			return nil, err
		}
		l.letters = append(l.letters, letters...)
		requests, err := s.Log.Topic(ctx, redriveTopic(p), s.Partitions)
		if err != nil {
			return nil, err
		}
		l.requests = append(l.requests, requests...)
	}
	return l, nil
}

// take adds a record; heads and seen are those of its topic.
func (l *log) take(r broker.Record, partitions int, heads map[string]event.Event, seen map[string]bool) {
	e, err := event.FromRecord(r)
	if err != nil {
		l.broken = append(l.broken, Violation{Choreography, string(r.Key), err.Error()})
		return
	}
	if right := broker.Partition(r.Key, partitions); r.Partition != right {
		l.broken = append(l.broken, Violation{Misordered, e.Subject, at(e, r) + " does not lie in the partition of its key, " +
			"where its order is kept"})
	}
	l.Orders[e.Subject] = append(l.Orders[e.Subject], r)
	l.events = append(l.events, recorded{e, r})
	l.envelopes = append(l.envelopes, choreography.Recorded{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, OrderID: e.Subject, Type: e.Type, Source: e.Source, ID: e.ID,
		PreviousID: e.PreviousID, CausationID: e.CausationID, Sequence: e.Sequence,
	})
	if e.Sequence == 0 {
		if seen[e.ID] {
			return
		}
		seen[e.ID] = true
	} else {
		head := heads[e.Subject]
		if e.Sequence != head.Sequence+1 || e.PreviousID != head.ID {
			return // a copy, or void
		}
		heads[e.Subject] = e
	}
	m, err := event.Decode(e)
	if err != nil {
		l.broken = append(l.broken, Violation{Choreography, e.Subject, err.Error()})
		return
	}
	l.Accepted[e.Subject] = append(l.Accepted[e.Subject], m)
}

// protocol checks the log against the choreography.
func (l *log) protocol(r *Report, parked map[string]bool) error {
	c, err := choreography.Load()
	if err != nil {
		return err
	}
	r.Violations = append(r.Violations, l.broken...)
	for _, text := range c.Violations(l.envelopes) {
		order, text := split(text)
		r.Violation(Choreography, order, "%s", text)
	}
	for _, text := range c.Unsettled(l.envelopes) {
		if order, text := split(text); !parked[order] {
			r.Violation(Stuck, order, "%s", text)
		}
	}
	r.VoidedRecords = len(c.Void(l.envelopes))
	accepted := 0
	for _, messages := range l.Accepted {
		accepted += len(messages)
	}
	r.RecordCopies = l.Records - len(l.poison) - accepted - r.VoidedRecords
	return nil
}

// split takes "order ID: text" apart.
func split(text string) (order, rest string) {
	if order, rest, ok := strings.Cut(strings.TrimPrefix(text, "order "), ": "); ok {
		return order, rest
	}
	return "", text
}
