package choreography

import (
	"compress/gzip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// specification is AsyncAPI's own JSON schema.
func specification(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("testdata/asyncapi-3.0.0.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	if err := compiler.AddResource("asyncapi.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func document(t *testing.T, text string) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := yaml.Load([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestAsyncAPI(t *testing.T) {
	c := load(t)
	text, err := c.AsyncAPI()
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(committed), string(text)); d != "" {
		t.Errorf("asyncapi.yaml is not up to date: run go generate here\n%s", d)
	}
	doc := document(t, string(text))
	schema := specification(t)
	if err := schema.Validate(doc); err != nil {
		t.Errorf("the document is not AsyncAPI 3: %v", err)
	}
	for _, wrong := range [][2]string{
		{"action: send", "action: shout"}, {"address: order.events.v1", "address: 7"}, {"defaultContentType:", "contentTypes:"},
		{"title: Troupe", "titel: Troupe"}, {"partitions: 12", "partitions: none"}, {"location: $message", "location: $nowhere"},
	} {
		if schema.Validate(document(t, strings.Replace(string(text), wrong[0], wrong[1], 1))) == nil {
			t.Errorf("the schema takes %q", wrong[1])
		}
	}
	refs := 0
	walk(doc, func(ref string) {
		refs++
		if resolve(doc, ref) == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	})
	if refs < 50 {
		t.Errorf("only %d references", refs)
	}
	operations := doc["operations"].(map[string]any)
	for _, e := range c.Edges() {
		if strings.HasPrefix(e.Cause, deadline+".") {
			continue
		}
		heard, _ := operations[e.Participant+".hears."+shortName(e.Cause)].(map[string]any)
		if answers, _ := heard["x-answers"].([]any); !slices.Contains(answers, any(e.Fact)) {
			t.Errorf("%s does not answer %s with %s: %v", e.Participant, e.Cause, e.Fact, heard)
		}
	}
	placed := resolve(doc, "#/components/messages/troupe.order.v1.OrderPlaced").(map[string]any)
	if want := "OrderPlaced is always the first fact of an order. It is published by the HTTP door."; placed["summary"] != want {
		t.Errorf("summary %q, want %q", placed["summary"], want)
	}
}

func TestAsyncAPINamesAnEventWithoutAMessage(t *testing.T) {
	c := load(t)
	p := c.Participants["payment"]
	p.Facts = append(slices.Clone(p.Facts), "PaymentForgotten")
	c.Participants["payment"] = p
	if _, err := c.AsyncAPI(); err == nil || !strings.Contains(err.Error(), "troupe.payment.v1.PaymentForgotten") {
		t.Errorf("error %v, want one that names the event", err)
	}
}

func walk(v any, each func(ref string)) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			each(ref)
		}
		for _, inner := range v {
			walk(inner, each)
		}
	case []any:
		for _, inner := range v {
			walk(inner, each)
		}
	}
}

func resolve(doc map[string]any, ref string) any {
	var at any = doc
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := at.(map[string]any)
		at = m[part]
	}
	return at
}
