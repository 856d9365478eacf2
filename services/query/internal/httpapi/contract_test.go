package httpapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestContractMeansTheSameAs30 holds the schemas of parameters to keywords that mean the same in OpenAPI 3.0 and 3.1: the door
// has them validated as 3.0.
func TestContractMeansTheSameAs30(t *testing.T) {
	raw, err := GetSpecJSON()
	if err != nil {
		t.Fatal(err)
	}
	type schema = map[string]any
	type parameter struct {
		Ref    string `json:"$ref"`
		Name   string
		Schema schema
	}
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Parameters map[string]parameter
			Schemas    map[string]schema
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	all := slices.Collect(maps.Values(doc.Components.Parameters))
	for _, item := range doc.Paths {
		lists := []json.RawMessage{item["parameters"]}
		for _, operation := range item {
			var o struct{ Parameters json.RawMessage }
			if json.Unmarshal(operation, &o) == nil {
				lists = append(lists, o.Parameters)
			}
		}
		for _, list := range lists {
			var found []parameter
			if list != nil && json.Unmarshal(list, &found) == nil {
				all = append(all, found...)
			}
		}
	}
	same := strings.Fields("type minLength maxLength pattern minimum maximum format description default enum")
	n := 0
	for _, p := range all {
		s := p.Schema
		if ref, ok := s["$ref"].(string); ok {
			s = doc.Components.Schemas[ref[strings.LastIndex(ref, "/")+1:]]
		}
		if p.Ref != "" {
			continue
		}
		n++
		for keyword := range s {
			if !slices.Contains(same, keyword) {
				t.Errorf("parameter %s uses %s", p.Name, keyword)
			}
		}
		if _, one := s["type"].(string); !one {
			t.Errorf("parameter %s has type %v", p.Name, s["type"])
		}
	}
	if n < 9 {
		t.Errorf("only %d parameters were found", n)
	}
}

func TestPreferenceOfWaiting(t *testing.T) {
	for prefer, want := range map[string]time.Duration{
		"": 2 * time.Second, "wait=0": 0, "wait=30": 30 * time.Second, "Wait = 5": 5 * time.Second, `wait="7"`: 7 * time.Second,
		"respond-async": 2 * time.Second, "respond-async, wait=9; strict": 9 * time.Second, "wait=3, wait=4": 3 * time.Second,
		"waiting=1": 2 * time.Second,
	} {
		if got, err := waitOf(prefer); got != want || err != nil {
			t.Errorf("%q: %v, %v", prefer, got, err)
		}
	}
}
