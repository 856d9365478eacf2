package story

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

const (
	// lookBack is how many records of an order's partition are searched in each activity topic, the newest.
	lookBack       = 5000
	activityBytes  = 1 << 20
	activityWithin = 2 * time.Second
)

// Exceptional says whether a kind is one that an activity topic tells of.
func Exceptional(kind string) bool {
	return slices.Contains([]activity.Kind{activity.Retried, activity.Deduplicated, activity.Held, activity.Parked}, activity.Kind(kind))
}

// ActivityTopics are those where participants tell of retries, duplicates and holds.
func ActivityTopics() (topics []string) {
	for _, p := range readmodel.Participants {
		topics = append(topics, activity.Topic(p))
	}
	return topics
}

// showActivity makes the Event of a record of an activity topic. ok is false for a record that cannot be read.
func showActivity(r broker.Record) (e Event, ok bool) {
	a, err := activity.Parse(r)
	if err != nil {
		return Event{}, false
	}
	e = Event{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Kind: string(a.Kind), Class: a.Reason,
		Participant: strings.TrimSuffix(r.Topic, activity.Topic("")),
	}
	e.ID = event.MakeID(r.Topic, strconv.Itoa(r.Partition), strconv.FormatInt(r.Offset, 10))
	e.Subject, e.Time, e.Type, e.Source, e.CausationID = a.Order, a.At, a.EventType, e.Participant, a.EventID
	switch a.Kind {
	case activity.Retried, activity.Held:
		e.Message = fmt.Sprintf("attempt %d", a.Attempts)
	case activity.Deduplicated:
		e.Message = fmt.Sprintf("came again at %s/%d@%d", a.Topic, a.Partition, a.Offset)
	}
	return e, true
}

// exceptions reads what is told of an order, as far as it is kept and is not told otherwise: what was parked is there as a letter. A
// story does without what cannot be read in time.
func exceptions(ctx context.Context, log broker.Log, orderID string, partition int) (told []Event) {
	ctx, cancel := context.WithTimeout(ctx, activityWithin)
	defer cancel()
	logs := make([]broker.TopicPartition, 0, len(readmodel.Participants))
	for _, topic := range ActivityTopics() {
		logs = append(logs, broker.TopicPartition{Topic: topic, Partition: partition})
	}
	err := search(ctx, log, logs, func(r broker.Record) {
		if string(r.Key) != orderID {
			return
		}
		if e, ok := showActivity(r); ok && e.Kind != string(activity.Parked) {
			told = append(told, e)
		}
	})
	if err != nil {
		slog.WarnContext(ctx, "activity cannot be read", "order_id", orderID, "partition", partition, "error", err)
	}
	return told
}

// search shows each the newest records of some logs.
func search(ctx context.Context, log broker.Log, logs []broker.TopicPartition, each func(broker.Record)) error {
	ends, err := log.Ends(ctx, logs)
	if err != nil {
		return err
	}
	starts, err := log.Starts(ctx, logs)
	if err != nil {
		return err
	}
	next := map[broker.TopicPartition]int64{}
	for _, tp := range logs {
		next[tp] = max(starts[tp], ends[tp]-lookBack)
	}
	for {
		var from []broker.Position
		for _, tp := range logs {
			if next[tp] < ends[tp] {
				from = append(from, broker.Position{TopicPartition: tp, Offset: next[tp], MaxBytes: activityBytes})
			}
		}
		if len(from) == 0 {
			return nil
		}
		got, err := log.Fetch(ctx, from)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, f := range got {
			if f.Err != nil {
				err = f.Err // the others are shown first
				continue
			}
			for _, r := range f.Records {
				each(r)
			}
			next[f.TopicPartition] = f.Next
		}
		if err != nil {
			return err
		}
	}
}
