package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// history is what the engine's diagnostics say of a workflow.
type history []struct {
	Type       string `json:"type"`
	ScheduleID int64  `json:"schedule_event_id"`
	Attributes struct {
		Name string `json:"name"`
	} `json:"attributes"`
}

// waitsFor is the step that was scheduled and has no result.
func (h history) waitsFor() string {
	steps := map[int64]string{}
	for _, e := range h {
		switch e.Type {
		case "ActivityScheduled":
			steps[e.ScheduleID] = e.Attributes.Name
		case "ActivityCompleted":
			delete(steps, e.ScheduleID)
		}
	}
	for _, step := range steps {
		return step
	}
	return ""
}

// whereIsOrder asks both systems for an order whose charge takes its time, and again when it is settled.
func whereIsOrder(t *testing.T, s *stage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.put(ctx, control{DelayMS: 2500}); err != nil {
		t.Fatal(err)
	}
	place := func(sys *system) string {
		a, err := sys.orders.Place(ctx, uuid.NewString(), rest.PlaceOrder{
			CustomerID: "c-1", Email: "c@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa",
			Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 1, UnitPrice: 100}},
		})
		if err != nil {
			t.Fatalf("%s: %v", sys.name, err)
		}
		return a.ID
	}
	played, conducted := place(s.troupe), place(s.twin)
	told := func(fact string) bool {
		story, err := s.troupe.orders.Story(ctx, played)
		return err == nil && slices.ContainsFunc(story.Events, func(e queryapi.Event) bool {
			return strings.HasSuffix(e.Type, "."+fact)
		})
	}
	text, err := s.twin.store.Get(ctx, "active-instance-execution:"+conducted).Result()
	if err != nil {
		t.Fatal(err)
	}
	var execution struct {
		ID string `json:"execution_id"`
	}
	if err := json.Unmarshal([]byte(text), &execution); err != nil {
		t.Fatal(err)
	}
	said := func() history { return s.engineSays(t, conducted+"/"+execution.ID) }
	until := func(what string, met func() bool) {
		t.Helper()
		err := rig.Until(ctx, what, func() (string, error) {
			if met() {
				return "", nil
			}
			return "not yet", nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	until("the story begins", func() bool { return told("OrderPlaced") })
	until("the engine says what the order waits for", func() bool { return said().waitsFor() == "Charge" })
	for id, sys := range map[string]*system{played: s.troupe, conducted: s.twin} {
		o, err := sys.orders.Order(ctx, id, rest.Read{})
		if err != nil || o.Status != "placed" || o.Payment.Status != "pending" {
			t.Errorf("%s: %+v, %v", sys.name, o, err)
		}
	}
	if told("PaymentSucceeded") {
		t.Error("the story tells what has not happened")
	}
	if err := s.put(ctx, control{}); err != nil {
		t.Fatal(err)
	}
	until("the story is whole", func() bool { return told("PaymentSucceeded") && told("OrderConfirmed") })
	until("the history is whole", func() bool { h := said(); return len(h) > 0 && h.waitsFor() == "" })
}

// engineSays reads a workflow's history from the engine's own diagnostics.
func (s *stage) engineSays(t *testing.T, execution string) history {
	t.Helper()
	r, err := http.Get(s.diagnostics + "/api/" + execution) //nolint:noctx // of this machine, and the test has an end
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var said struct {
		History history `json:"history"`
	}
	if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return said.History
}
