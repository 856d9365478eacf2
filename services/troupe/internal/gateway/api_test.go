package gateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// open returns a simulator with a ledger in dir.
func open(t *testing.T, dir string, now func() time.Time) *Simulator {
	t.Helper()
	s, err := New(Config{Dir: dir, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // tests that restart close it themselves
	return s
}

// reply is an answer of the simulator.
type answered struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// get follows a path of fields in the JSON body; nil when it is not there.
func (a answered) get(path ...string) any {
	a.t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("not JSON: %v: %s", err, a.body)
	}
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func (a answered) text(path ...string) string {
	a.t.Helper()
	s, _ := a.get(path...).(string)
	return s
}

// want fails unless the answer has this status, and returns it.
func (a answered) want(status int) answered {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// ask sends a request as a client with a test key would. form is "name=value" pairs.
func ask(t *testing.T, h http.Handler, method, path, key string, form ...string) answered {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(encode(form)))
	r.Header.Set("Authorization", "Bearer sk_test_x")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answered{t: t, status: w.Code, header: w.Header(), body: w.Body.String()}
}

func encode(form []string) string {
	var out []string
	for _, f := range form {
		name, value, _ := strings.Cut(f, "=")
		out = append(out, url.QueryEscape(name)+"="+url.QueryEscape(value))
	}
	return strings.Join(out, "&")
}

// create makes an intent for an order and returns its id.
func create(t *testing.T, h http.Handler, orderID, method string) string {
	t.Helper()
	return ask(t, h, "POST", "/v1/payment_intents", "", "amount=2500", "currency=eur", "payment_method="+method,
		"metadata[order_id]="+orderID).want(200).text("id")
}

// charged makes an intent and confirms it.
func charged(t *testing.T, h http.Handler, orderID string) string {
	t.Helper()
	id := create(t, h, orderID, "pm_card_visa")
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "").want(200)
	return id
}

// totals count what is in a ledger, and sum the money that moved.
type totals struct {
	Intents, Charges, Refunds int // Charges took money
	Charged, Refunded         int64
}

// ledgerOf reads GET /ledger.
func ledgerOf(t *testing.T, h http.Handler) (l struct {
	Ledger
	Totals totals
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(ask(t, h, "GET", "/ledger", "").want(200).body), &l); err != nil {
		t.Fatal(err)
	}
	for _, o := range l.Orders {
		for _, i := range o.Intents {
			l.Totals.Intents++
			for _, c := range i.Charges {
				if c.Status == succeeded {
					l.Totals.Charges++
					l.Totals.Charged += c.Amount
				}
			}
			for _, r := range i.Refunds {
				l.Totals.Refunds++
				l.Totals.Refunded += r.Amount
			}
		}
	}
	return l
}

// search is the query for the intents of an order.
func search(orderID string) string {
	return "/v1/payment_intents/search?query=" + url.QueryEscape("metadata['order_id']:'"+orderID+"'")
}

func TestCreateConfirmRefund(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	made := ask(t, h, "POST", "/v1/payment_intents", "k1", "amount=2500", "currency=EUR", "payment_method=pm_card_visa",
		"payment_method_types[0]=card", "metadata[order_id]=o-1").want(200)
	id := made.text("id")
	if !strings.HasPrefix(id, "pi_") || made.text("status") != "requires_confirmation" || made.text("metadata", "order_id") != "o-1" ||
		made.text("currency") != "eur" || made.get("livemode") != false || made.get("amount_received") != 0.0 {
		t.Errorf("created %s", made.body)
	}
	if made.header.Get("Request-Id") == "" || made.header.Get("Idempotency-Key") != "k1" {
		t.Errorf("headers %v", made.header)
	}
	done := ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "k2").want(200)
	if done.text("status") != "succeeded" || done.get("amount_received") != 2500.0 || !strings.HasPrefix(done.text("latest_charge"), "ch_") {
		t.Errorf("confirmed %s", done.body)
	}
	if now := ask(t, h, "GET", "/v1/payment_intents/"+id, "").want(200); now.body != done.body {
		t.Errorf("read %s, confirmed %s", now.body, done.body)
	}
	back := ask(t, h, "POST", "/v1/refunds", "k3", "payment_intent="+id).want(200)
	if back.text("status") != "succeeded" || back.get("amount") != 2500.0 || back.text("payment_intent") != id ||
		back.text("charge") != done.text("latest_charge") {
		t.Errorf("refunded %s", back.body)
	}
	if list := ask(t, h, "GET", "/v1/refunds?payment_intent="+id, "").want(200); !strings.Contains(list.body, strings.TrimSpace(back.body)) {
		t.Errorf("read %s, refunded %s", list.body, back.body)
	}
	l := ledgerOf(t, h)
	o := l.Orders["o-1"]
	if len(o.Intents) != 1 || len(o.Intents[0].Charges) != 1 || len(o.Intents[0].Refunds) != 1 ||
		l.Totals.Charged != 2500 || l.Totals.Refunded != 2500 || l.Totals.Charges != 1 || l.Totals.Refunds != 1 {
		t.Errorf("ledger %+v", l)
	}
	if one := ask(t, h, "GET", "/ledger?order_id=o-2", "").want(200); one.body != "{\"orders\":{}}\n" {
		t.Errorf("ledger of an unknown order: %s", one.body)
	}
}

func TestBadRequests(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	id := charged(t, h, "o-1")
	open := create(t, h, "o-2", "pm_card_visa")
	good := map[string]string{"amount": "2500", "currency": "eur", "payment_method": "pm_card_visa"}
	with := func(name, value string) []string {
		m := maps.Clone(good)
		m[name] = value
		var form []string
		for k, v := range m {
			form = append(form, k+"="+v)
		}
		return form
	}
	without := func(name string) []string {
		return slices.DeleteFunc(with(name, ""), func(f string) bool { return strings.HasPrefix(f, name+"=") })
	}
	intents, confirm, cancel := "/v1/payment_intents", "/v1/payment_intents/"+open+"/confirm", "/v1/payment_intents/"+open+"/cancel"
	before := ask(t, h, "GET", "/ledger", "").body
	for _, tc := range []struct {
		name, method, path string
		form               []string
		status             int
		code, param        string
	}{
		{"no amount", "POST", intents, without("amount"), 400, "parameter_missing", "amount"},
		{"amount is no number", "POST", intents, with("amount", "2.50"), 400, "parameter_invalid_integer", "amount"},
		{"amount zero", "POST", intents, with("amount", "0"), 400, "parameter_invalid_integer", "amount"},
		{"amount negative", "POST", intents, with("amount", "-1"), 400, "parameter_invalid_integer", "amount"},
		{"amount too small", "POST", intents, with("amount", "49"), 400, "amount_too_small", "amount"},
		{"amount too large", "POST", intents, with("amount", "100000000"), 400, "amount_too_large", "amount"},
		{"amount beyond 64 bits", "POST", intents, with("amount", "99999999999999999999"), 400, "parameter_invalid_integer", "amount"},
		{"no currency", "POST", intents, without("currency"), 400, "parameter_missing", "currency"},
		{"not a currency", "POST", intents, with("currency", "euro"), 400, "", "currency"},
		{"no country's currency", "POST", intents, with("currency", "xxx"), 400, "", "currency"},
		{"a currency that nobody has", "POST", intents, with("currency", "abc"), 400, "", "currency"},
		{"a currency of the past", "POST", intents, with("currency", "dem"), 400, "", "currency"},
		{"unknown payment method", "POST", intents, with("payment_method", "pm_card_nosuch"), 400, "resource_missing", "payment_method"},
		{"too slow a payment method", "POST", intents, with("payment_method", "pm_sim_slow_61s"), 400, "resource_missing", "payment_method"},
		{"unknown parameter", "POST", intents, with("colour", "blue"), 400, "parameter_unknown", "colour"},
		{"unknown nested parameter", "POST", intents, with("colour[x]", "blue"), 400, "parameter_unknown", "colour[x]"},
		{"parameter twice", "POST", intents, append(with("amount", "2500"), "amount=2600"), 400, "", "amount"},
		{"create and confirm in one", "POST", intents, with("confirm", "true"), 400, "parameter_unknown", "confirm"},
		{"manual capture", "POST", intents, with("capture_method", "manual"), 400, "parameter_unknown", "capture_method"},
		{"metadata without a key", "POST", intents, with("metadata", "x"), 400, "parameter_unknown", "metadata"},
		{"metadata with an empty key", "POST", intents, with("metadata[]", "x"), 400, "", "metadata[]"},
		{"metadata nested", "POST", intents, with("metadata[a][b]", "x"), 400, "", "metadata[a][b]"},
		{"metadata key too long", "POST", intents, with("metadata["+strings.Repeat("k", 41)+"]", "x"), 400, "", "metadata[" + strings.Repeat("k", 41) + "]"},
		{"metadata value too long", "POST", intents, with("metadata[k]", strings.Repeat("v", 501)), 400, "", "metadata[k]"},
		{"metadata value too long, in letters of two bytes", "POST", intents, with("metadata[k]", strings.Repeat("ü", 501)), 400, "", "metadata[k]"},
		{"expand", "POST", intents, with("expand[]", "latest_charge"), 400, "", "expand[]"},
		{"body too large", "POST", intents, with("metadata[k]", strings.Repeat("v", 64<<10)), 413, "", ""},
		{"parameters in the query", "POST", intents + "?amount=2500", with("amount", "2500"), 400, "", ""},
		{"confirm: no such intent", "POST", "/v1/payment_intents/pi_none/confirm", nil, 404, "resource_missing", "intent"},
		{"confirm: unknown parameter", "POST", confirm, []string{"colour=blue"}, 400, "parameter_unknown", "colour"},
		{"confirm: unknown payment method", "POST", confirm, []string{"payment_method=4242424242424242"}, 400, "resource_missing", "payment_method"},
		{"confirm: no boolean", "POST", confirm, []string{"error_on_requires_action=1"}, 400, "", "error_on_requires_action"},
		{"confirm: paid already", "POST", "/v1/payment_intents/" + id + "/confirm", nil, 400, "payment_intent_unexpected_state", ""},
		{"cancel: no such intent", "POST", "/v1/payment_intents/pi_none/cancel", nil, 404, "resource_missing", "intent"},
		{"cancel: unknown parameter", "POST", cancel, []string{"colour=blue"}, 400, "parameter_unknown", "colour"},
		{"cancel: paid already", "POST", "/v1/payment_intents/" + id + "/cancel", nil, 400, "payment_intent_unexpected_state", ""},
		{"refund: of what", "POST", "/v1/refunds", nil, 400, "parameter_missing", "payment_intent"},
		{"refund: no such intent", "POST", "/v1/refunds", []string{"payment_intent=pi_none"}, 400, "resource_missing", "payment_intent"},
		{"refund: not charged", "POST", "/v1/refunds", []string{"payment_intent=" + open}, 400, "payment_intent_unexpected_state", ""},
		{"refund: too much", "POST", "/v1/refunds", []string{"payment_intent=" + id, "amount=2501"}, 400, "", "amount"},
		{"refund: nothing", "POST", "/v1/refunds", []string{"payment_intent=" + id, "amount=0"}, 400, "", "amount"},
		{"refund: unknown parameter", "POST", "/v1/refunds", []string{"payment_intent=" + id, "colour=blue"}, 400, "parameter_unknown", "colour"},
		{"read: no such intent", "GET", "/v1/payment_intents/pi_none", nil, 404, "resource_missing", "intent"},
		{"read: unknown parameter", "GET", intents + "/" + id + "?colour=blue", nil, 400, "parameter_unknown", "colour"},
		{"read: expand", "GET", intents + "/" + id + "?expand[]=latest_charge", nil, 400, "", "expand[]"},
		{"list: expand", "GET", "/v1/refunds?expand[]=data.charge", nil, 400, "", "expand[]"},
		{"list: of what", "GET", "/v1/refunds", nil, 400, "resource_missing", "payment_intent"},
		{"list: unknown parameter", "GET", "/v1/refunds?colour=blue", nil, 400, "parameter_unknown", "colour"},
		{"list: refunds of no such intent", "GET", "/v1/refunds?payment_intent=pi_none", nil, 400, "resource_missing", "payment_intent"},
		{"search: another query", "GET", intents + "/search?query=" + url.QueryEscape("amount>5"), nil, 400, "", "query"},
		{"unknown URL", "GET", "/v1/customers", nil, 404, "", ""},
		{"wrong method", "DELETE", intents, nil, 404, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ask(t, h, tc.method, tc.path, "", tc.form...).want(tc.status)
			if got.text("error", "code") != tc.code || got.text("error", "param") != tc.param || got.text("error", "message") == "" {
				t.Errorf("got %s; want code %q, param %q", got.body, tc.code, tc.param)
			}
		})
	}
	if after := ask(t, h, "GET", "/ledger", "").body; after != before {
		t.Errorf("bad requests changed the ledger:\n%s\n%s", before, after)
	}
}

// Lengths of metadata are in characters.
func TestMetadataInOtherScripts(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	ask(t, h, "POST", "/v1/payment_intents", "", "amount=2500", "currency=eur",
		"metadata["+strings.Repeat("ü", 40)+"]="+strings.Repeat("茶", 500)).want(200)
}

func TestOnlyTestKeys(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	for auth, want := range map[string]int{
		"": 401, "Bearer sk_live_x": 401, "Bearer x": 401, "sk_test_x": 401, "Bearer sk_test_x": 200, "Basic c2tfdGVzdF94Og==": 200,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", search("o-1"), nil)
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: status %d, want %d", auth, w.Code, want)
		}
	}
}
