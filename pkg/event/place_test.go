package event_test

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// full is a log whose answers have room for one partition.
type full struct{ broker.Log }

func (l full) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	got, err := l.Log.Fetch(ctx, from[:1])
	for _, p := range from[1:] {
		got = append(got, broker.Fetched{TopicPartition: p.TopicPartition, Next: p.Offset, Err: fault.New(fault.Unavailable, "left out")})
	}
	return got, err
}

// All partitions are looked at, also when an answer leaves some out, and a fact in the wrong one is found.
func TestPlacesAreCheckedAnswerByAnswer(t *testing.T) {
	const partitions = 4
	memory := brokertest.New()
	if err := memory.Provision(t.Context(), []broker.Topic{{Name: "desk.events.v1", Partitions: partitions}}); err != nil {
		t.Fatal(err)
	}
	put := func(order string, p int) {
		e := event.Event{ID: event.MakeID(order), Type: "Note", Source: "desk", Subject: order, Sequence: 1}
		memory.Append(broker.TopicPartition{Topic: "desk.events.v1", Partition: p}, event.ToRecord(e, "desk.events.v1", p))
	}
	for _, order := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		put(order, broker.Partition([]byte(order), partitions))
	}
	check := func() error {
		return event.CheckPlaces(t.Context(), full{memory}, []string{"desk.events.v1"}, partitions)
	}
	if err := check(); err != nil {
		t.Errorf("all are in their places: %v", err)
	}
	put("z", (broker.Partition([]byte("z"), partitions)+1)%partitions)
	if err := check(); fault.ClassOf(err) != fault.Permanent {
		t.Errorf("a fact is in the wrong place: %v", err)
	}
}
