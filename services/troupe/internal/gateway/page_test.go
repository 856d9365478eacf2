package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestPageShowsAndEscapes(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	if got := ask(t, h, "GET", "/", "").want(200); !strings.Contains(got.body, "Nothing yet") {
		t.Errorf("empty page: %s", got.body)
	}
	hostile := `<script>alert("1")</script>`
	id := charged(t, h, hostile)
	ask(t, h, "POST", "/v1/refunds", "", "payment_intent="+id).want(200)
	poor := create(t, h, "o-2", "pm_card_chargeDeclinedLostCard")
	ask(t, h, "POST", "/v1/payment_intents/"+poor+"/confirm", "").want(402)
	for range 2 { // the second finds it canceled, and is no movement
		ask(t, h, "POST", "/v1/payment_intents/"+poor+"/cancel", "")
	}
	put(t, h, `{"decline_percent":30,"delay_ms":20}`).want(200)
	got := ask(t, h, "GET", "/", "").want(200)
	for _, want := range []string{"2500 eur", "failed: lost_card", "<td>refund</td>", "&lt;script&gt;", "30 % of charges declined", "delay 20 ms"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if strings.Contains(got.body, "<script") {
		t.Error("an order id is not escaped")
	}
	if n := strings.Count(got.body, `<tr class="cancel">`); n != 1 {
		t.Errorf("%d cancels on the page, want 1", n)
	}
	if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q", csp)
	}
	if css := ask(t, h, "GET", "/page.css", "").want(200); !strings.HasPrefix(css.header.Get("Content-Type"), "text/css") {
		t.Errorf("style is of type %s", css.header.Get("Content-Type"))
	}
	ask(t, h, "DELETE", "/control", "").want(200)
	for range recentMax {
		charged(t, h, "o-3")
	}
	if n := strings.Count(ask(t, h, "GET", "/", "").body, "<tr class="); n != recentMax {
		t.Errorf("%d movements on the page, want %d", n, recentMax)
	}
}

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
