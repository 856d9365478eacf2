package story_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// told makes the record of what happened to an event at a participant.
func told(kind activity.Kind, participant string, r broker.Record, after time.Duration) broker.Record {
	e, err := event.FromRecord(r)
	if err != nil {
		panic(err)
	}
	return activity.Activity{
		Kind: kind, Order: e.Subject, EventID: e.ID, EventType: e.Type, Topic: r.Topic, Partition: r.Partition, Offset: 7,
		Reason: "unavailable", Attempts: 2, At: e.Time.Add(after),
	}.Record(participant)
}

func provision(t *testing.T, s *querytest.Stage) {
	t.Helper()
	for _, topic := range story.ActivityTopics() {
		if err := s.Log.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: viewtest.Partitions}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStoryTellsExceptionsWhereTheyHappened(t *testing.T) {
	s := querytest.New(t)
	provision(t, s)
	id := viewtest.ID("o")
	records := s.Confirmed(id, "c-1")
	other := s.Placed(viewtest.ID("other"), "c-2")
	other.Partition = records[0].Partition
	s.Put(records...)
	s.Put(
		told(activity.Retried, "payment", records[0], 100*time.Microsecond),
		told(activity.Retried, "payment", other, 200*time.Microsecond),
		told(activity.Deduplicated, "payment", records[0], 300*time.Microsecond),
		told(activity.Held, "notification", records[2], 100*time.Microsecond),
		told(activity.Parked, "notification", records[2], 0), // there would be a letter
		broker.Record{Topic: activity.Topic("order"), Partition: records[0].Partition, Key: []byte(id), Value: []byte("{}")},
	)
	s.Play()
	s.Caught()
	var got []string
	for _, e := range read(t, s, id) {
		got = append(got, fmt.Sprint(e.Kind, " ", e.Source, " ", e.Message))
		if e.Subject != id || e.CausationID != "" && e.Gap == nil {
			t.Errorf("%s of %s, gap %v", e.Kind, e.Subject, e.Gap)
		}
	}
	want := []string{
		"event order ", "retried payment attempt 2", "deduplicated payment came again at order.events.v1/" + fmt.Sprint(records[0].Partition) + "@7",
		"event payment ", "event order ", "held notification attempt 2", "event notification ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestStorySearchesTheNewestActivityOnly(t *testing.T) {
	s := querytest.New(t)
	provision(t, s)
	id := viewtest.ID("o")
	placed := s.Placed(id, "c-1")
	s.Put(placed)
	at := broker.TopicPartition{Topic: activity.Topic("payment"), Partition: placed.Partition}
	s.Log.Append(at, told(activity.Retried, "payment", placed, 0))
	s.Log.Append(at, told(activity.Held, "payment", placed, 0))
	for range 4999 {
		s.Log.Append(at, broker.Record{Key: []byte("another"), Value: []byte("{}")})
	}
	s.Play()
	s.Caught()
	if got := read(t, s, id); len(got) != 2 || got[1].Kind != string(activity.Held) {
		t.Errorf("%d events: %+v", len(got), got)
	}
}

func TestTailShowsExceptions(t *testing.T) {
	s := querytest.New(t)
	provision(t, s)
	tail := story.NewTail(s.Log, slices.Concat(readmodel.Topics, story.ActivityTopics()), viewtest.Partitions)
	s.Run(tail.Run)
	r, err := tail.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	placed := s.Placed(viewtest.ID("o"), "c-1")
	s.Put(placed, told(activity.Parked, "payment", placed, time.Millisecond))
	for _, want := range []string{story.KindEvent, "parked"} {
		if e := <-r.C; e.Kind != want || e.Subject != viewtest.ID("o") {
			t.Errorf("%s of %s, not %s", e.Kind, e.Subject, want)
		}
	}
}
