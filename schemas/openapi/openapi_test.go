// Package openapi_test holds the contracts of the HTTP doors to what is promised about them.
package openapi_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, name string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func loadAll(t *testing.T) map[string]*openapi3.T {
	return map[string]*openapi3.T{"order": load(t, "order.yaml"), "query": load(t, "query.yaml"), "console": load(t, "console.yaml")}
}

// operations calls f with every operation and its name.
func operations(doc *openapi3.T, f func(name string, op *openapi3.Operation)) {
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			f(method+" "+path, op)
		}
	}
}

// Validate checks the examples against their schemas too.
func TestContractsAreValid(t *testing.T) {
	for name, doc := range loadAll(t) {
		if doc.OpenAPI != "3.1.0" {
			t.Errorf("%s: OpenAPI %s", name, doc.OpenAPI)
		}
		if err := doc.Validate(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// All doors speak of the same things in the same words.
func TestSharedPartsAreTheSame(t *testing.T) {
	console := load(t, "console.yaml").Components
	order, query := load(t, "order.yaml").Components, load(t, "query.yaml").Components
	for _, c := range []*openapi3.Components{console, order, query} {
		for _, s := range c.Schemas { // what it is in Go is each service's own
			maps.DeleteFunc(s.Value.Extensions, func(name string, _ any) bool { return strings.HasPrefix(name, "x-go-type") })
		}
	}
	for _, name := range []string{"Problem", "FieldProblem", "OrderID", "OrderStatus", "ConsistencyToken", "Line"} {
		if diff := cmp.Diff(asJSON(t, order.Schemas[name]), asJSON(t, query.Schemas[name])); diff != "" {
			t.Errorf("schema %s (-order +query):\n%s", name, diff)
		}
	}
	for name := range order.Schemas {
		if _, both := query.Schemas[name]; both && !slices.Contains([]string{"Problem", "FieldProblem", "OrderID", "OrderStatus", "ConsistencyToken", "Line"}, name) {
			t.Errorf("schema %s is in both contracts and is not compared", name)
		}
	}
	for _, name := range []string{"Problem", "FieldProblem"} {
		if diff := cmp.Diff(asJSON(t, order.Schemas[name]), asJSON(t, console.Schemas[name])); diff != "" {
			t.Errorf("schema %s (-order +console):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(asJSON(t, order.Parameters["OrderID"]), asJSON(t, query.Parameters["OrderID"])); diff != "" {
		t.Errorf("parameter OrderID (-order +query):\n%s", diff)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryErrorIsAProblemDocument(t *testing.T) {
	for door, doc := range loadAll(t) {
		problem := doc.Components.Schemas["Problem"].Value
		operations(doc, func(name string, op *openapi3.Operation) {
			codes := op.Responses.Map()
			for _, must := range []string{"503", "default"} {
				if codes[must] == nil {
					t.Errorf("%s: %s: no response %s", door, name, must)
				}
			}
			for code, response := range codes {
				if n, err := strconv.Atoi(code); err == nil && n < 400 {
					continue
				}
				content := response.Value.Content
				if len(content) != 1 || content["application/problem+json"] == nil || content["application/problem+json"].Schema.Value != problem {
					t.Errorf("%s: %s: response %s is no problem document", door, name, code)
				}
				if code == "503" && response.Value.Headers["Retry-After"] == nil {
					t.Errorf("%s: %s: response 503 does not say when to try again", door, name)
				}
			}
		})
	}
}

// incoming calls f with every schema of what comes in.
func incoming(doc *openapi3.T, f func(where string, s *openapi3.Schema)) {
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			name := method + " " + path + ": "
			if op.RequestBody != nil {
				for _, media := range op.RequestBody.Value.Content {
					walk(media.Schema.Value, name+"body", f)
				}
			}
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				walk(p.Value.Schema.Value, name+p.Value.Name, f)
			}
		}
	}
}

// What comes in is bounded, and unknown fields are refused by name.
func TestEverythingThatComesInIsBounded(t *testing.T) {
	for door, doc := range loadAll(t) {
		incoming(doc, func(where string, s *openapi3.Schema) { bounded(t, door+": "+where, s) })
	}
}

// What checks requests takes the contracts for OpenAPI 3.0 (pkg/contract): a keyword that means something else there
// would not be held.
func TestWhatComesInMeansTheSameIn30(t *testing.T) {
	for door, doc := range loadAll(t) {
		incoming(doc, func(where string, s *openapi3.Schema) {
			if other := otherIn30(t, s); other != "" {
				t.Errorf("%s: %s: %s", door, where, other)
			}
		})
	}
	for text, want := range map[string]string{
		`{"const": "x"}`: "const", `{"exclusiveMinimum": 3}`: "exclusiveMinimum", `{"not": {"type": "string"}}`: "not",
		`{"contentEncoding": "base64"}`: "contentEncoding", `{"type": ["string", "null"]}`: "type", `{"type": "string"}`: "",
	} {
		var s openapi3.Schema
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if got := otherIn30(t, &s); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// keywords mean the same in OpenAPI 3.0 and 3.1, or nothing to a validator.
var keywords = strings.Fields("type minLength maxLength pattern minimum maximum minItems maxItems format description " +
	"default enum example examples required properties additionalProperties items $ref")

// otherIn30 is a keyword of a schema that means something else in OpenAPI 3.0, as a list of types does.
func otherIn30(t *testing.T, s *openapi3.Schema) string {
	t.Helper()
	var uses map[string]json.RawMessage
	if err := json.Unmarshal([]byte(asJSON(t, s)), &uses); err != nil {
		t.Fatal(err)
	}
	if len(s.Type.Slice()) > 1 {
		return "type"
	}
	for keyword := range uses {
		if !slices.Contains(keywords, keyword) && !strings.HasPrefix(keyword, "x-") {
			return keyword
		}
	}
	return ""
}

func bounded(t *testing.T, where string, s *openapi3.Schema) {
	t.Helper()
	fixed := s.Pattern != "" && !strings.ContainsAny(s.Pattern, "*+")
	switch {
	case s.Extensions["x-go-type"] == "json.RawMessage": // an event's own type knows its fields
	case s.Type.Is("object") && (s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has):
		t.Errorf("%s: unknown fields are let in", where)
	case s.Type.Is("array") && s.MaxItems == nil:
		t.Errorf("%s: an array without maxItems", where)
	case s.Type.Is("string") && s.MaxLength == nil && len(s.Enum) == 0 && !fixed:
		t.Errorf("%s: a string without maxLength", where)
	case s.Type.Is("integer") && (s.Min == nil || s.Max == nil && s.Format == ""):
		t.Errorf("%s: an integer without bounds", where)
	}
}

// walk calls f with a schema and all that are in it.
func walk(s *openapi3.Schema, path string, f func(path string, s *openapi3.Schema)) {
	f(path, s)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		walk(s.Properties[name].Value, path+"/"+name, f)
	}
	if s.Items != nil {
		walk(s.Items.Value, path+"/*", f)
	}
}

// The mail address and the payment method go in and never come out, except that operators see a letter's payload as it came.
func TestNoAnswerHoldsWhatIsPrivate(t *testing.T) {
	for door, doc := range loadAll(t) {
		operations(doc, func(name string, op *openapi3.Operation) {
			for code, response := range op.Responses.Map() {
				for _, media := range response.Value.Content {
					walk(media.Schema.Value, "", func(path string, _ *openapi3.Schema) {
						if strings.Contains(path, "email") || strings.Contains(path, "payment_method") {
							t.Errorf("%s: %s: response %s has %s", door, name, code, path)
						}
					})
				}
			}
		})
	}
}
