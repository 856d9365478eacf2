package story_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

func names(events []story.Event) (names []string) {
	for _, e := range events {
		names = append(names, e.Type[strings.LastIndex(e.Type, ".")+1:])
	}
	return names
}

func read(t *testing.T, s *querytest.Stage, id string) []story.Event {
	t.Helper()
	f, err := s.Model.Known(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	events, err := story.Read(t.Context(), s.Log, id, s.Model.Events(f), nil)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestStoryIsCausal(t *testing.T) {
	s := querytest.New(t)
	id := viewtest.ID("o")
	records := s.Refunded(id, "c-1")
	for i, r := range records { // between events of others, and with a payment clock that runs behind
		s.Put(s.Placed(viewtest.ID(fmt.Sprint("other ", i)), "c-2"))
		if r.Topic == readmodel.Topics[1] {
			text, _ := r.Headers.Last("ce_time")
			at, _ := time.Parse(time.RFC3339Nano, string(text))
			r.Headers = brokertest.SetHeader(r.Headers, "ce_time", at.Add(-time.Hour).AppendFormat(nil, time.RFC3339Nano))
		}
		s.Put(r)
	}
	s.Play()
	s.Caught()
	events := read(t, s, id)
	if len(events) != len(records) {
		t.Fatalf("%d events, not %d: %v", len(events), len(records), names(events))
	}
	for i, e := range events {
		if e.CausationID == "" {
			if e.Gap != nil {
				t.Errorf("%s came in at a door and has a gap", e.Type)
			}
			continue
		}
		cause := slices.IndexFunc(events, func(c story.Event) bool { return c.ID == e.CausationID })
		if cause < 0 || cause >= i {
			t.Errorf("%s comes before its cause: %v", e.Type, names(events))
			continue
		}
		if e.Gap == nil || *e.Gap != e.Time.Sub(events[cause].Time) {
			t.Errorf("%s: gap %v", e.Type, e.Gap)
		}
	}
	for _, e := range events {
		for _, secret := range []string{storiestest.Email, "ada", storiestest.PaymentMethod, "body_hash"} {
			if strings.Contains(string(e.Body), secret) {
				t.Errorf("%s shows %q: %s", e.Type, secret, e.Body)
			}
		}
	}
	if !strings.Contains(string(events[0].Body), `"email":"***"`) || !strings.Contains(string(events[0].Body), `"customer_id":"c-1"`) {
		t.Errorf("body: %s", events[0].Body)
	}
}

func TestStoryLeavesOutWhatRetentionTook(t *testing.T) {
	s := querytest.New(t)
	id := viewtest.ID("o")
	s.Put(s.Confirmed(id, "c-1")...)
	s.Play()
	s.Caught()
	s.Log.Trim(broker.TopicPartition{Topic: readmodel.Topics[0], Partition: s.Model.Partition(id)}, 1)
	events := read(t, s, id)
	if got := strings.Join(names(events), " "); got != "PaymentSucceeded OrderConfirmed NotificationSent" {
		t.Error(got)
	}
	if events[0].Gap != nil {
		t.Error("an event whose cause is gone has a gap")
	}
}

// Topics were made anew, and the read model does not know it yet: what lies in the places that it names is no part of the story.
func TestStoryOfALogThatIsGone(t *testing.T) {
	s := querytest.New(t)
	id, other := viewtest.ID("o"), viewtest.ID("o 1")
	for n := 2; s.Model.Partition(other) != s.Model.Partition(id); n++ {
		other = viewtest.ID(fmt.Sprint("o ", n))
	}
	events := s.Confirmed(id, "c-1")
	s.Put(events...)
	s.Park("payment", "invalid", "no", events[0])
	stop := s.Play()
	s.Caught()
	stop()
	f, err := s.Model.Known(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	notes, _, err := s.Model.Notes(t.Context(), id)
	if err != nil || len(notes) != 1 {
		t.Fatalf("notes %v, %v", notes, err)
	}
	s.Log.Recreate(slices.Concat(readmodel.Topics, readmodel.Notes)...)
	events = s.Confirmed(other, "c-2")
	s.Put(events...)
	s.Park("payment", "invalid", "no", events[0])
	if told, err := story.Read(t.Context(), s.Log, id, s.Model.Events(f), notes); err != nil || len(told) != 0 {
		t.Errorf("%v: %v", err, told)
	}
}

func TestStoryShowsWhatCannotBeDecoded(t *testing.T) {
	s := querytest.New(t)
	id := viewtest.ID("o")
	records := s.Confirmed(id, "c-1")
	records[2].Value = []byte{0xff}
	s.Put(records...)
	s.Play()
	s.Caught()
	events := read(t, s, id)
	if len(events) != 4 || events[2].Body != nil {
		t.Errorf("%v, body %s", names(events), events[2].Body)
	}
}

func TestStoryIsUnavailableWithoutTheLog(t *testing.T) {
	s := querytest.New(t)
	id := viewtest.ID("o")
	s.Put(s.Confirmed(id, "c-1")...)
	s.Play()
	s.Caught()
	f, err := s.Model.Known(t.Context(), id, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Log.Down(fault.New(fault.Unavailable, "the broker is away"))
	if _, err := story.Read(t.Context(), s.Log, id, s.Model.Events(f), nil); fault.ClassOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

func TestTailShowsEverythingFromNowOn(t *testing.T) {
	s := querytest.New(t)
	tail := story.NewTail(s.Log, readmodel.Topics, viewtest.Partitions)
	s.Put(s.Confirmed(viewtest.ID("before"), "c-1")...)
	s.Run(tail.Run)
	for range 3 { // it starts and stops with its readers
		first, err := tail.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second, err := tail.Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id := viewtest.ID(s.Clock.String())
		records := s.Confirmed(id, "c-1")
		s.Put(records...)
		for _, r := range []*story.Reader{first, second} {
			for range records {
				if e := <-r.C; e.Subject != id {
					t.Errorf("an event of %s", e.Subject)
				}
			}
			r.Stop()
		}
	}
}

func TestTailCountsWhatASlowReaderMisses(t *testing.T) {
	s := querytest.New(t)
	tail := story.NewTail(s.Log, readmodel.Topics, viewtest.Partitions)
	s.Run(tail.Run)
	slow, err := tail.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Stop()
	const n = 400
	for i := range n {
		s.Put(s.Placed(viewtest.ID(fmt.Sprint(i)), "c-1"))
	}
	var skipped, got int64
	viewtest.Eventually(t, func() string {
		if skipped += slow.Skipped(); skipped+int64(len(slow.C)) < n {
			return fmt.Sprint(skipped, " skipped, ", len(slow.C), " waiting")
		}
		return ""
	})
	for len(slow.C) > 0 {
		<-slow.C
		got++
	}
	if got+skipped != n || skipped == 0 {
		t.Errorf("%d seen and %d skipped of %d", got, skipped, n)
	}
}

func TestTailSaysWhenTheLogDoesNotAnswer(t *testing.T) {
	s := querytest.New(t)
	s.Log.Down(fault.New(fault.Unavailable, "the broker is away"))
	tail := story.NewTail(s.Log, readmodel.Topics, viewtest.Partitions)
	s.Run(tail.Run)
	why := errors.New("waited long enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	if _, err := tail.Watch(ctx); fault.ClassOf(err) != fault.Unavailable || !errors.Is(err, why) {
		t.Error(err)
	}
}
