package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
)

// ids reads the ids of a list's data.
func ids(t *testing.T, a answered) []string {
	t.Helper()
	var out []string
	for _, d := range a.get("data").([]any) {
		out = append(out, d.(map[string]any)["id"].(string))
	}
	return out
}

func TestListAndSearch(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	var intents, refunds []string // the newest first
	for n := range 7 {
		id := charged(t, h, fmt.Sprintf("o-%d", n/5))
		intents, refunds = append([]string{id}, intents...), nil
		for range 3 {
			back := ask(t, h, "POST", "/v1/refunds", "", "payment_intent="+id, "amount=100").want(200).text("id")
			refunds = append([]string{back}, refunds...)
		}
	}
	query := func(q string) string { return "/v1/payment_intents/search?query=" + url.QueryEscape(q) }
	for path, want := range map[string][]string{
		"/v1/refunds?payment_intent=" + intents[0]: refunds,
		query(`metadata['order_id']:'o-0'`):        intents[2:],
		query(`metadata["order_id"]:"o-1"`):        intents[:2],
		query(`metadata['order_id']:'o-9'`):        nil,
	} {
		got := ask(t, h, "GET", path, "").want(200)
		if !slices.Equal(ids(t, got), want) || got.get("has_more") != false {
			t.Errorf("%s: %s, want %q", path, got.body, want)
		}
	}
	odd := charged(t, h, `it's\odd"`)
	for _, q := range []string{`metadata['order_id']:'it\'s\\odd"'`, `metadata["order_id"]:"it's\\odd\""`} {
		if got := ids(t, ask(t, h, "GET", query(q), "").want(200)); !slices.Equal(got, []string{odd}) {
			t.Errorf("%s: %q", q, got)
		}
	}
}
