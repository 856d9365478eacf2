package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/query/internal/httpapi"
)

// What was parked of an order, and what became of it, is told where it happened; the order's document does not change.
func TestStoryTellsOfDeadLetters(t *testing.T) {
	d := open(t, httpapi.Config{})
	id := viewtest.ID("o")
	events := d.Confirmed(id, "c-1")
	d.Put(events...)
	d.Caught()
	before, _ := read[httpapi.Order](d, "/orders/"+id)
	letters := d.Park("payment", "invalid", "no card "+storiestest.PaymentMethod+" of "+storiestest.Email, events[0], events[2])
	tell := func(r deadletter.Record) {
		r.Order, r.Group, r.RequestID, r.By = id, "payment", "q", "ada"
		d.Put(deadletter.Tell(r, events[0].Partition, time.Now()))
	}
	tell(deadletter.Record{Kind: deadletter.Redriven, ID: letters[0]})
	tell(deadletter.Record{Kind: deadletter.Failed, ID: letters[1], Class: "conflict", Message: "no", Redrives: 1, LastFailure: time.Now()})
	tell(deadletter.Record{Kind: deadletter.Closed, Redriven: 1, Waiting: 1, Class: "conflict", Message: "no"})
	d.Caught()
	told, _ := read[httpapi.Story](d, "/orders/"+id+"/events")
	at := map[string]int{}
	byID := map[string]httpapi.Event{}
	for i, e := range told.Events {
		at[string(e.Kind)+" "+e.Type+" "+e.CausationID] = i
		byID[e.ID] = e
	}
	if len(told.Events) != len(events)+5 || len(byID) != len(told.Events) {
		t.Fatalf("%d events, %d ids: %+v", len(told.Events), len(byID), told.Events)
	}
	first, ok := at["dead_letter troupe.order.v1.OrderPlaced "+letters[0]]
	e := told.Events[first]
	if !ok || e.Participant != "payment" || e.Class != "invalid" || e.Message != "no card *** of ***" || e.Topic != "payment.dead-letters.v1" || e.GapMs == nil {
		t.Errorf("%+v", e)
	}
	if i, ok := at["redriven troupe.order.v1.OrderPlaced "+e.ID]; !ok || i < first {
		t.Errorf("%+v", told.Events)
	}
	failed := false
	for _, e := range told.Events {
		failed = failed || e.Kind == "failed" && byID[e.CausationID].Kind == "dead_letter" && e.Class == "conflict" && e.Message == "no"
		if e.Kind == "event" && (e.Participant != "" || strings.Contains(e.Topic, "dead-letters")) {
			t.Errorf("%+v", e)
		}
	}
	if !failed {
		t.Errorf("%+v", told.Events)
	}
	if after, _ := read[httpapi.Order](d, "/orders/"+id); after.Version != before.Version || !after.UpdatedAt.Equal(before.UpdatedAt) {
		t.Errorf("the order changed: %+v, before %+v", after, before)
	}
}
