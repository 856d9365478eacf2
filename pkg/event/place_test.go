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

// broken is a log of which some partitions cannot be read.
type broken struct {
	broker.Log
	denied, hangs int // partitions; hangs: it begins with a transaction that never ends
}

func (l broken) Fetch(ctx context.Context, from []broker.Position) ([]broker.Fetched, error) {
	got, err := l.Log.Fetch(ctx, from)
	for i, f := range got {
		switch f.Partition {
		case l.denied:
			got[i] = broker.Fetched{TopicPartition: f.TopicPartition, Next: from[i].Offset, Err: fault.New(fault.Permanent, "not authorized")}
		case l.hangs:
			got[i] = broker.Fetched{TopicPartition: f.TopicPartition, Next: from[i].Offset}
		}
	}
	return got, err
}

// The check ends, and finds what is misplaced, whatever partitions show nothing.
func TestPlacesOfPartitionsThatShowNothing(t *testing.T) {
	const topic, partitions = "desk.events.v1", 4
	memory := brokertest.New()
	if err := memory.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: partitions}}); err != nil {
		t.Fatal(err)
	}
	e := event.Event{ID: event.MakeID("a"), Type: "Note", Source: "desk", Subject: "a", Sequence: 1}
	own := broker.Partition([]byte("a"), partitions)
	for p := range partitions {
		if p != (own+3)%partitions {
			memory.Append(broker.TopicPartition{Topic: topic, Partition: p}, event.ToRecord(e, topic, p))
		}
	}
	others := broken{memory, (own + 1) % partitions, (own + 2) % partitions} // in which the event is misplaced
	if err := event.CheckPlaces(t.Context(), others, []string{topic}, partitions); err != nil {
		t.Errorf("what is read is in its place: %v", err)
	}
	if err := event.CheckPlaces(t.Context(), broken{memory, own, own}, []string{topic}, partitions); fault.ClassOf(err) != fault.Permanent {
		t.Errorf("what is read is misplaced: %v", err)
	}
}
