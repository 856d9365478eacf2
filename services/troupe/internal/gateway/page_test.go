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

func TestListsAndSearch(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	var intents, refunds []string
	for n := range 7 {
		id := charged(t, h, fmt.Sprintf("o-%d", n/5))
		intents = append(intents, id)
		for range 3 {
			refunds = append(refunds, ask(t, h, "POST", "/v1/refunds", "", "payment_intent="+id, "amount=100").want(200).text("id"))
		}
	}
	slices.Reverse(intents)
	slices.Reverse(refunds)
	walk := func(path string) []string {
		var all []string
		after := ""
		for range 100 {
			got := ask(t, h, "GET", path+after, "").want(200)
			all = append(all, ids(t, got)...)
			if got.get("has_more") == false {
				return all
			}
			after = "&starting_after=" + all[len(all)-1]
			if next := got.text("next_page"); next != "" {
				after = "&page=" + next
			}
		}
		t.Fatal("the list does not end")
		return nil
	}
	query := func(q string) string { return "/v1/payment_intents/search?limit=2&query=" + url.QueryEscape(q) }
	for path, want := range map[string][]string{
		"/v1/payment_intents?limit=3":                                intents,
		"/v1/payment_intents?limit=100":                              intents,
		"/v1/refunds?limit=4":                                        refunds,
		"/v1/refunds?limit=2&payment_intent=" + intents[0]:           refunds[:3],
		query(`metadata['order_id']:'o-0'`):                          intents[2:],
		query(`metadata["order_id"]:"o-1"`):                          intents[:2],
		query(`metadata['order_id']:'o-9'`):                          nil,
		"/v1/payment_intents?limit=1&starting_after=" + intents[6]:   nil,
		"/v1/payment_intents?limit=100&starting_after=" + intents[2]: intents[3:],
	} {
		if got := walk(path); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	odd := charged(t, h, `it's\odd"`)
	for _, q := range []string{`metadata['order_id']:'it\'s\\odd"'`, `metadata["order_id"]:"it's\\odd\""`} {
		if got := walk(query(q)); !slices.Equal(got, []string{odd}) {
			t.Errorf("%s: %q", q, got)
		}
	}
}
