package check

import (
	"context"
	"fmt"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/schemas/choreography"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
)

// participants that publish facts.
var participants = []string{"order", "payment", "notification"}

// Log is the whole log.
type Log struct {
	// Records counts all of them, copies too.
	Records int
	// Orders has every record of each order, by topic in the log's order.
	Orders map[string][]broker.Record
	// Accepted has the facts and requests of each order that every reader must take: the first of the chain, no copies.
	Accepted map[string][]event.Message
	// DeadLetters counts the records of all dead-letter topics.
	DeadLetters int

	envelopes []choreography.Recorded
	broken    []string
}

// ReadLog reads every topic from its start to its end as it is now.
func ReadLog(ctx context.Context, log broker.Log, partitions int) (*Log, error) {
	l := &Log{Orders: map[string][]broker.Record{}, Accepted: map[string][]event.Message{}}
	for _, p := range participants {
		records, err := readTopic(ctx, log, participant.FactsTopic(p), partitions)
		if err != nil {
			return nil, err
		}
		heads := map[string]event.Event{}
		seen := map[string]bool{}
		for _, r := range records {
			l.take(r, heads, seen)
		}
		letters, err := readTopic(ctx, log, participant.DeadLettersTopic(p), partitions)
		if err != nil {
			return nil, err
		}
		l.DeadLetters += len(letters)
	}
	return l, nil
}

// take adds a record; heads and seen are those of its topic.
func (l *Log) take(r broker.Record, heads map[string]event.Event, seen map[string]bool) {
	l.Records++
	e, err := event.FromRecord(r)
	if err != nil {
		l.broken = append(l.broken, err.Error())
		return
	}
	l.Orders[e.Subject] = append(l.Orders[e.Subject], r)
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
		l.broken = append(l.broken, err.Error())
		return
	}
	l.Accepted[e.Subject] = append(l.Accepted[e.Subject], m)
}

// readTopic reads the partitions of a topic one after the other.
func readTopic(ctx context.Context, log broker.Log, topic string, partitions int) ([]broker.Record, error) {
	logs := make([]broker.TopicPartition, partitions)
	for p := range logs {
		logs[p] = broker.TopicPartition{Topic: topic, Partition: p}
	}
	starts, err := log.Starts(ctx, logs)
	if err != nil {
		return nil, err
	}
	ends, err := log.Ends(ctx, logs)
	if err != nil {
		return nil, err
	}
	var records []broker.Record
	for _, tp := range logs {
		for at := starts[tp]; at < ends[tp]; {
			got, err := log.Fetch(ctx, []broker.Position{{TopicPartition: tp, Offset: at}})
			if err != nil {
				return nil, err
			}
			if got[0].Err != nil {
				return nil, fmt.Errorf("read %s/%d from %d: %w", tp.Topic, tp.Partition, at, got[0].Err)
			}
			records = append(records, got[0].Records...)
			at = got[0].Next
		}
	}
	return records, nil
}

// protocol checks the log against the choreography.
func (l *Log) protocol(r *Report) error {
	c, err := choreography.Load()
	if err != nil {
		return err
	}
	r.Violations = append(r.Violations, l.broken...)
	r.Violations = append(r.Violations, c.Violations(l.envelopes)...)
	r.Violations = append(r.Violations, c.Unsettled(l.envelopes)...)
	r.VoidedRecords = len(c.Void(l.envelopes))
	accepted := 0
	for _, messages := range l.Accepted {
		accepted += len(messages)
	}
	r.RecordCopies = l.Records - accepted - r.VoidedRecords
	if r.DeadLetters = l.DeadLetters; l.DeadLetters > 0 {
		r.violation("%d records are parked in dead-letter topics", l.DeadLetters)
	}
	return nil
}

// facts counts what was accepted of an order, and keeps what the other checks need.
type facts struct {
	placed, confirmed, cancelled, succeeded, declined, refunded int
	reason                                                      orderv1.CancellationReason
	declineReason                                               string
	charged, returned                                           int64
	messageIDs                                                  map[string]notificationv1.Kind // of mails sent
	mails                                                       map[notificationv1.Kind]int    // sent or refused
}

func (l *Log) facts(order string) facts {
	f := facts{messageIDs: map[string]notificationv1.Kind{}, mails: map[notificationv1.Kind]int{}}
	for _, m := range l.Accepted[order] {
		switch b := m.Body.(type) {
		case *orderv1.OrderPlaced:
			f.placed++
		case *orderv1.OrderConfirmed:
			f.confirmed++
		case *orderv1.OrderCancelled:
			f.cancelled++
			f.reason = b.GetReason()
		case *paymentv1.PaymentSucceeded:
			f.succeeded++
			f.charged += b.GetAmount()
		case *paymentv1.PaymentDeclined:
			f.declined++
			f.declineReason = b.GetReason()
		case *paymentv1.PaymentRefunded:
			f.refunded++
			f.returned += b.GetAmount()
		case *notificationv1.NotificationSent:
			f.messageIDs[b.GetMessageId()] = b.GetKind()
			f.mails[b.GetKind()]++
		case *notificationv1.NotificationFailed:
			f.mails[b.GetKind()]++
		}
	}
	return f
}
