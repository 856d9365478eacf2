package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/activity"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/httpapi"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// provision makes the activity topics, which the live tail reads.
func provision(t *testing.T, s *querytest.Stage) {
	t.Helper()
	for _, topic := range story.ActivityTopics() {
		if err := s.Log.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: viewtest.Partitions}}); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever follows an order's story is told whenever there is more of it: facts, dead letters though the order does not
// change, and exceptions, which change no version.
func TestStreamTellsOfTheStory(t *testing.T) {
	d := open(t, httpapi.Config{})
	id := viewtest.ID("o")
	facts := d.Confirmed(id, "c-1")
	d.Put(facts[1]) // a payment, whose order is not known yet
	d.Caught()
	stream := d.stream("/orders/" + id + "/stream?story=true")
	version := func(want int64) {
		t.Helper()
		for {
			got := stream.next(t)
			var s struct{ Version int64 }
			if err := json.Unmarshal([]byte(got.data), &s); err != nil {
				t.Fatal(err)
			}
			if got.name == "story" && s.Version == want {
				return
			}
		}
	}
	version(1)
	d.Put(facts[0], facts[2], facts[3])
	version(4)
	d.Park("notification", "permanent", "no", facts[2])
	version(5)
	told, _ := read[httpapi.Story](d, "/orders/"+id+"/events")
	if told.Version != 5 || len(told.Events) != 5 {
		t.Errorf("version %d, %d events", told.Version, len(told.Events))
	}
	d.Put(activity.Activity{Kind: activity.Held, Order: viewtest.ID("another"), EventID: "e", At: d.Clock}.Record("payment"),
		activity.Activity{Kind: activity.Retried, Order: id, EventID: "e", At: d.Clock}.Record("payment"))
	got := stream.next(t)
	var e httpapi.Event
	if err := json.Unmarshal([]byte(got.data), &e); err != nil || got.name != "exception" || e.OrderID != id || e.Kind != httpapi.EventKindRetried {
		t.Errorf("%+v, %v", got, err)
	}
	if p := refused(d, "/orders/"+viewtest.ID("nobody")+"/stream?story=true"); p.Status != http.StatusNotFound {
		t.Errorf("%+v", p)
	}
}

// Bodies are shown as they are, not as an encoder of HTML writes them.
func TestStoryShowsBodiesAsTheyAre(t *testing.T) {
	d := open(t, httpapi.Config{})
	id, name := viewtest.ID("o"), `<b>R&D</b>`
	d.Put(d.Placed(id, name))
	d.Caught()
	resp := d.get(t.Context(), "/orders/"+id+"/events")
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), name) {
		t.Errorf("%s, %v", body, err)
	}
}

// A letter that is in the log twice is told once.
func TestStoryTellsACopyOnce(t *testing.T) {
	d := open(t, httpapi.Config{})
	id := viewtest.ID("o")
	placed := d.Placed(id, "c-1")
	d.Put(placed)
	letter := d.Letter("payment", placed, "invalid", "no", "")
	d.Put(letter, letter)
	d.Caught()
	if told, _ := read[httpapi.Story](d, "/orders/"+id+"/events"); len(told.Events) != 2 {
		t.Errorf("%+v", told.Events)
	}
}

// Nobody says that an order of this moment is not there.
func TestOrderOfThisMomentIsNotMissing(t *testing.T) {
	s := querytest.New(t)
	stop := s.Play()
	d := serve(t, s, httpapi.Config{})
	d.Caught()
	id := viewtest.ID("new")
	stop()
	d.Put(d.Placed(id, "c-1"))
	if p := refused(d, "/orders/"+id+"/events"); p.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v", p)
	}
	d.Play()
	d.Caught()
	if told, _ := read[httpapi.Story](d, "/orders/"+id+"/events"); len(told.Events) != 1 {
		t.Errorf("%+v", told)
	}
}

func TestOpenOrdersAreListed(t *testing.T) {
	d := open(t, httpapi.Config{})
	first, asked, refunding := viewtest.ID("first"), viewtest.ID("asked"), viewtest.ID("refunding")
	d.Put(d.Placed(first, "c-1"))
	d.Put(d.Confirmed(viewtest.ID("done"), "c-1")...)
	d.Put(d.Placed(asked, "c-1"))
	d.Put(d.Refunded(refunding, "c-1")[:6]...) // confirmed, then cancelled
	d.Caught()
	page, _ := read[httpapi.OrderPage](d, "/orders?open=true&page_size=2")
	rest, _ := read[httpapi.OrderPage](d, "/orders?open=true&page_size=2&page_token="+page.NextPageToken)
	var ids []string
	for _, o := range append(page.Orders, rest.Orders...) {
		ids = append(ids, o.ID)
	}
	if diff := cmp.Diff([]string{first, asked, refunding}, ids); diff != "" {
		t.Error(diff)
	}
	if o := rest.Orders[0]; o.ConfirmedAt.IsZero() || o.Cancellation.CancelledAt.IsZero() || o.Payment.DecidedAt.IsZero() ||
		o.ConfirmedAt.Sub(o.PlacedAt) > time.Minute {
		t.Errorf("%+v", o)
	}
}
