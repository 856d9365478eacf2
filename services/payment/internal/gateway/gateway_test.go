package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/telemetry/telemetrytest"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
)

var (
	asked    = domain.Charge{EventID: "e-1", OrderID: "o-1", Amount: 2500, Currency: "EUR", Method: "pm_card_visa"}
	returned = domain.Return{EventID: "e-2", OrderID: "o-1", IntentID: "pi_1", Amount: 2500, Currency: "EUR"}
	done     = domain.Outcome{IntentID: "pi_1", Charged: true, Amount: 2500, Currency: "EUR"}
	gone     = domain.Outcome{IntentID: "pi_1", Reason: domain.ReasonTimeout}
	poor     = domain.Outcome{IntentID: "pi_1", Reason: "insufficient_funds"}
)

const (
	invalidType = "invalid_request_error"
	cardError   = `{"type":"card_error","code":"card_declined","decline_code":"insufficient_funds","message":"no"}`
)

// row is one course of a conversation with the gateway. class counts when fails is set.
type row struct {
	name      string
	forgotten bool
	overdue   bool
	edited    bool
	steps     []step
	want      domain.Outcome
	fails     bool
	class     fault.Class
}

func check(t *testing.T, rows []row, ask func(*Stripe) func(context.Context, domain.Charge) (domain.Outcome, error)) {
	t.Helper()
	for _, tc := range rows {
		t.Run(tc.name, func(t *testing.T) {
			g, _ := play(t, tc.steps...)
			c := asked
			c.KeysForgotten, c.Overdue, c.Edited = tc.forgotten, tc.overdue, tc.edited
			got, err := ask(g)(t.Context(), c)
			if (err != nil) != tc.fails || tc.fails && fault.ClassOf(err) != tc.class {
				t.Errorf("error %v of class %s; want failing: %t, class %s", err, fault.ClassOf(err), tc.fails, tc.class)
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

var (
	created = pi(create, "requires_confirmation", "")
	decline = step{want: confirm, status: http.StatusPaymentRequired, body: `{"error":` + cardError + `}`}

	tooSmall = failing(create, 400, invalidType, "amount_too_small", "amount")
	unknown  = failing(create, 400, invalidType, "resource_missing", "payment_method")
)

func TestCharge(t *testing.T) {
	unexpected := failing(confirm, 400, invalidType, "payment_intent_unexpected_state", "")
	otherAmount := pi(read, "requires_confirmation", "")
	otherAmount.body = strings.Replace(otherAmount.body, "2500", "2600", 1)
	page := step{want: create, status: http.StatusBadGateway, body: "<html>bad gateway</html>"}
	check(t, []row{
		{name: "charged", steps: []step{created, pi(confirm, "succeeded", "")}, want: done},
		{name: "declined", steps: []step{created, decline}, want: poor},
		{name: "declined without a decline code", steps: []step{created, failing(confirm, 402, "card_error", "expired_card", "")},
			want: domain.Outcome{IntentID: "pi_1", Reason: "expired_card"}},
		{name: "failed authentication", steps: []step{created, failing(confirm, 400, invalidType, "payment_intent_authentication_failure", "")},
			want: domain.Outcome{IntentID: "pi_1", Reason: "payment_intent_authentication_failure"}},
		{name: "a real card and a test key", steps: []step{created, failing(confirm, 402, "card_error", "test_mode_live_card", "")}, fails: true, class: fault.Unavailable},
		{name: "amount too small", steps: []step{tooSmall}, want: domain.Outcome{Reason: "amount_too_small"}},
		{name: "amount too large, says confirm", steps: []step{created, failing(confirm, 400, invalidType, "amount_too_large", "amount")},
			want: domain.Outcome{IntentID: "pi_1", Reason: "amount_too_large"}},
		{name: "amount too small, no parameter named", steps: []step{failing(create, 400, invalidType, "amount_too_small", "")},
			want: domain.Outcome{Reason: "amount_too_small"}},
		{name: "amount refused without a code", steps: []step{failing(create, 400, invalidType, "", "amount")}, want: domain.Outcome{Reason: "invalid_amount"}},
		{name: "amount missing, which is ours", steps: []step{failing(create, 400, invalidType, "parameter_missing", "amount")}, fails: true, class: fault.Unavailable},
		{name: "amount of an old order too small", forgotten: true, steps: []step{found(0), tooSmall}, want: domain.Outcome{Reason: "amount_too_small"}},
		{name: "currency refused", steps: []step{failing(create, 400, invalidType, "", "currency")}, fails: true, class: fault.Permanent},
		{name: "payment method unknown, nobody's is known to work", steps: []step{unknown}, fails: true, class: fault.Deferred},
		{name: "payment method refused by confirm", steps: []step{created, failing(confirm, 400, invalidType, "payment_method_invalid_parameter", "payment_method")},
			want: domain.Outcome{IntentID: "pi_1", Reason: "payment_method_invalid_parameter"}},

		{name: "create: answer lost", steps: []step{{want: create, drop: true}}, fails: true, class: fault.Unavailable},
		{name: "create: 500", steps: []step{failing(create, 500, "api_error", "", "")}, fails: true, class: fault.Unavailable},
		{name: "create: a proxy's page", steps: []step{page}, fails: true, class: fault.Unavailable},
		{name: "create: in flight", steps: []step{failing(create, 409, "idempotency_error", "idempotency_key_in_use", "")}, fails: true, class: fault.Unavailable},
		{name: "create: rate limit", steps: []step{failing(create, 429, invalidType, "rate_limit", "")}, fails: true, class: fault.Unavailable},
		{name: "create: account refused", steps: []step{failing(create, 401, invalidType, "", "")}, fails: true, class: fault.Unavailable},
		{name: "create: not permitted", steps: []step{failing(create, 403, invalidType, "", "")}, fails: true, class: fault.Unavailable},
		{name: "create: a parameter of ours is not known", steps: []step{failing(create, 400, invalidType, "parameter_unknown", "metadata")}, fails: true, class: fault.Unavailable},
		{name: "create: a parameter of ours is wrong", steps: []step{failing(create, 400, invalidType, "", "payment_method_types")}, fails: true, class: fault.Unavailable},
		{name: "create: cards are not activated", steps: []step{failing(create, 400, invalidType, "payment_method_unactivated", "payment_method")}, fails: true, class: fault.Unavailable},
		{name: "create: the account is of test mode only", steps: []step{failing(create, 400, invalidType, "testmode_charges_only", "")}, fails: true, class: fault.Unavailable},
		{name: "create: there is no such API", steps: []step{failing(create, 404, invalidType, "", "")}, fails: true, class: fault.Unavailable},
		{name: "create: a refusal that names nothing", steps: []step{failing(create, 400, invalidType, "", "")}, fails: true, class: fault.Permanent},
		{name: "confirm: answer lost", steps: []step{created, {want: confirm, drop: true}}, fails: true, class: fault.Unavailable},
		{name: "confirm: 500", steps: []step{created, failing(confirm, 500, "api_error", "", "")}, fails: true, class: fault.Unavailable},
		{name: "confirm: in flight", steps: []step{created, failing(confirm, 409, "idempotency_error", "idempotency_key_in_use", "")}, fails: true, class: fault.Unavailable},
		{name: "confirm: the intent is not known", steps: []step{created, failing(confirm, 404, invalidType, "resource_missing", "intent")}, fails: true, class: fault.Permanent},

		{name: "confirm: canceled meanwhile", steps: []step{created, unexpected, pi(read, "canceled", "")}, want: gone},
		{name: "confirm: canceled after a decline", steps: []step{created, unexpected, pi(read, "canceled", cardError)}, want: poor},
		{name: "confirm: succeeded meanwhile", steps: []step{created, unexpected, pi(read, "succeeded", "")}, want: done},
		{name: "confirm: processing, then succeeded", steps: []step{created, pi(confirm, "processing", ""), pi(read, "succeeded", "")}, want: done},
		{name: "confirm: processing, then failed", steps: []step{created, pi(confirm, "processing", ""), pi(read, "requires_payment_method", cardError)}, want: poor},
		{name: "confirm: still processing", steps: []step{created, pi(confirm, "processing", ""), pi(read, "processing", "")}, fails: true, class: fault.Deferred},
		{name: "confirm: failed, and not by the card", steps: []step{created, pi(confirm, "processing", ""),
			pi(read, "requires_payment_method", `{"type":"api_error","message":"no"}`)}, fails: true, class: fault.Deferred},
		{name: "confirm: captures are manual", steps: []step{created, pi(confirm, "requires_capture", ""), pi(read, "requires_capture", "")}, fails: true, class: fault.Permanent},
		{name: "confirm: reading fails", steps: []step{created, pi(confirm, "processing", ""), {want: read, drop: true}}, fails: true, class: fault.Unavailable},
		{name: "confirm: wants the customer", steps: []step{created, pi(confirm, "requires_action", ""), pi(read, "requires_action", ""), pi(cancel, "canceled", "")},
			want: domain.Outcome{IntentID: "pi_1", Reason: "authentication_required"}},
		{name: "confirm: a 500 that is repeated for ever, charged", steps: []step{created, again(failing(confirm, 500, "api_error", "", "")), pi(read, "succeeded", "")}, want: done},
		{name: "confirm: a 500 that is repeated for ever, not charged", steps: []step{created, again(failing(confirm, 500, "api_error", "", "")), pi(read, "requires_confirmation", "")},
			fails: true, class: fault.Deferred},

		{name: "key of an edited event: the intent is found", steps: []step{failing(create, 400, "idempotency_error", "", ""), found(1), pi(read, "requires_confirmation", ""), pi(confirm, "succeeded", "")}, want: done},
		{name: "key of an edited event: found, another amount", steps: []step{failing(create, 400, "idempotency_error", "", ""), found(1), otherAmount}, fails: true, class: fault.Permanent},
		{name: "key of an edited event: not found yet", steps: []step{failing(create, 400, "idempotency_error", "", ""), found(0)}, fails: true, class: fault.Transient},
		{name: "create: a 500 that is repeated for ever, not found", steps: []step{again(failing(create, 500, "api_error", "", "")), found(0)}, fails: true, class: fault.Deferred},

		{name: "old: charged long ago", forgotten: true, steps: []step{found(1), pi(read, "succeeded", "")}, want: done},
		{name: "old: declined long ago, not tried again", forgotten: true, steps: []step{found(1), pi(read, "requires_payment_method", cardError)}, want: poor},
		// The same key: the first confirmation may arrive yet, and a second key would let it charge after a decline.
		{name: "old: created and not confirmed", forgotten: true, steps: []step{found(1), pi(read, "requires_confirmation", ""), pi(confirm, "succeeded", "")}, want: done},
		{name: "old: nothing there", forgotten: true, steps: []step{found(0), created, pi(confirm, "succeeded", "")}, want: done},
		{name: "edited: the key may have been used with another method", forgotten: true, edited: true,
			steps: []step{found(1), pi(read, "requires_payment_method", ""), pi(confirmBy, "succeeded", "")}, want: done},
		{name: "old: look-up fails, nothing is started", forgotten: true, steps: []step{{want: search, drop: true}}, fails: true, class: fault.Unavailable},
	}, func(g *Stripe) func(context.Context, domain.Charge) (domain.Outcome, error) { return g.Charge })
}

func TestAbandon(t *testing.T) {
	unexpected := failing(cancel, 400, invalidType, "payment_intent_unexpected_state", "")
	check(t, []row{
		{name: "never charged", steps: []step{created, pi(cancel, "canceled", "")}, want: gone},
		{name: "declined before", steps: []step{created, pi(cancel, "canceled", cardError)}, want: poor},
		{name: "charged before", steps: []step{created, unexpected, pi(read, "succeeded", "")}, want: done},
		{name: "canceled before", steps: []step{created, unexpected, pi(read, "canceled", "")}, want: gone},
		{name: "an answer that cancels nothing", steps: []step{created, pi(cancel, "succeeded", ""), pi(read, "succeeded", "")}, want: done},
		{name: "a charge still on its way", steps: []step{created, unexpected, pi(read, "processing", "")}, fails: true, class: fault.Deferred},
		{name: "canceled after a failure that was not the card's", steps: []step{created, pi(cancel, "canceled", `{"type":"api_error","message":"no"}`)}, want: gone},
		{name: "a parameter of ours is wrong", steps: []step{failing(create, 400, invalidType, "", "payment_method_types")}, fails: true, class: fault.Unavailable},
		{name: "cancel: answer lost", steps: []step{created, {want: cancel, drop: true}}, fails: true, class: fault.Unavailable},
		{name: "create: answer lost", steps: []step{{want: create, drop: true}}, fails: true, class: fault.Unavailable},
		{name: "amount too small", steps: []step{tooSmall}, want: domain.Outcome{Reason: "amount_too_small"}},
		{name: "payment method unknown", steps: []step{unknown}, fails: true, class: fault.Deferred},
		{name: "payment method unknown, overdue: nothing there", overdue: true, steps: []step{unknown, found(0)}, want: domain.Outcome{Reason: domain.ReasonTimeout}},
		{name: "payment method unknown, overdue: charged", overdue: true, steps: []step{unknown, found(1), pi(read, "succeeded", "")}, want: done},
		{name: "payment method unknown, overdue: open", overdue: true, steps: []step{unknown, found(1), pi(read, "requires_payment_method", ""), pi(cancel, "canceled", "")},
			want: gone},
		{name: "payment method unknown, overdue: look-up fails", overdue: true, steps: []step{unknown, {want: search, drop: true}}, fails: true, class: fault.Unavailable},
		{name: "overdue: a parameter of ours is wrong", overdue: true, steps: []step{failing(create, 400, invalidType, "", "payment_method_types")},
			fails: true, class: fault.Unavailable},
		{name: "old: charged", forgotten: true, steps: []step{found(1), pi(read, "succeeded", "")}, want: done},
		{name: "old: open", forgotten: true, steps: []step{found(1), pi(read, "requires_confirmation", ""), pi(cancel, "canceled", "")}, want: gone},
		{name: "old: nothing there, a call may still be on the wire", forgotten: true, steps: []step{found(0), created, pi(cancel, "canceled", "")}, want: gone},
	}, func(g *Stripe) func(context.Context, domain.Charge) (domain.Outcome, error) { return g.Abandon })
}

// The gateway's Date contradicts the clock by which the deadline has passed: nothing is given up, not even the first
// time.
func TestAbandonByAClockThatIsWrong(t *testing.T) {
	for _, ahead := range []time.Duration{30 * time.Minute, -30 * time.Minute} {
		g, s := play(t, created)
		s.ahead = ahead
		if o, err := g.Abandon(t.Context(), asked); fault.ClassOf(err) != fault.Unavailable || o != (domain.Outcome{}) {
			t.Errorf("ahead by %s: %+v, %v of class %s", ahead, o, err, fault.ClassOf(err))
		}
	}
	late := asked
	late.Overdue = true
	g, s := play(t, unknown)
	s.ahead = 30 * time.Minute
	if o, err := g.Abandon(t.Context(), late); fault.ClassOf(err) != fault.Deferred || o != (domain.Outcome{}) {
		t.Errorf("overdue: %+v, %v of class %s", o, err, fault.ClassOf(err))
	}
	g, s = play(t, created, pi(cancel, "canceled", ""))
	s.ahead = 10 * time.Second
	if o, err := g.Abandon(t.Context(), asked); err != nil || o != gone {
		t.Errorf("within the bound: %+v, %v", o, err)
	}
}

// Unknown methods of several customers may be a key of another account, in which no charge is found that was made.
func TestAbandonGivesNothingUpInARun(t *testing.T) {
	g, _ := play(t, unknown, found(0), unknown, found(0), unknown)
	for n, customer := range []string{"ada", "bob", "eve"} {
		c := asked
		c.CustomerID, c.Overdue = customer, true
		o, err := g.Abandon(t.Context(), c)
		if given := err == nil && o.Reason == domain.ReasonTimeout; given != (n < 2) || n == 2 && fault.ClassOf(err) != fault.Deferred {
			t.Errorf("%s: %+v, %v of class %s", customer, o, err, fault.ClassOf(err))
		}
	}
}

func TestRefund(t *testing.T) {
	already := failing(give, 400, invalidType, "charge_already_refunded", "")
	for _, tc := range []struct {
		name      string
		forgotten bool
		steps     []step
		want      string
		fails     bool
		class     fault.Class
	}{
		{name: "refunded", steps: []step{made("succeeded", 2500)}, want: "re_1"},
		{name: "refunded before", steps: []step{already, refunds(re("re_7", "succeeded", 2500))}, want: "re_7"},
		{name: "refunded in two steps by a person", steps: []step{already, refunds(re("re_9", "succeeded", 500) + "," + re("re_8", "succeeded", 2000))}, want: "re_8"},
		{name: "the rest only", steps: []step{made("succeeded", 500), refunds(re("re_1", "succeeded", 500) + "," + re("re_0", "succeeded", 2000))}, want: "re_0"},
		{name: "pending", steps: []step{made("pending", 2500), refunds(re("re_1", "pending", 2500))}, fails: true, class: fault.Deferred},
		{name: "wants the customer", steps: []step{made("requires_action", 2500), refunds(re("re_1", "requires_action", 2500))}, fails: true, class: fault.Deferred},
		{name: "pending again, after one failed", steps: []step{already, refunds(re("re_2", "pending", 2500) + "," + re("re_1", "failed", 2500))}, fails: true, class: fault.Deferred},
		{name: "canceled", steps: []step{already, refunds(re("re_1", "canceled", 2500))}, fails: true, class: fault.Permanent},
		{name: "our balance does not reach", steps: []step{failing(give, 400, invalidType, "balance_insufficient", "")}, fails: true, class: fault.Deferred},
		{name: "the charge is not known in this mode", steps: []step{failing(give, 404, invalidType, "resource_missing", "payment_intent")}, fails: true, class: fault.Deferred},
		{name: "the key may not refund", steps: []step{failing(give, 403, invalidType, "", "")}, fails: true, class: fault.Deferred},
		{name: "pending, then succeeded", steps: []step{made("pending", 2500), refunds(re("re_1", "succeeded", 2500))}, want: "re_1"},
		{name: "failed", steps: []step{made("failed", 2500), refunds(re("re_1", "failed", 2500))}, fails: true, class: fault.Permanent},
		{name: "less than the charge went back", steps: []step{already, refunds(re("re_1", "succeeded", 500))}, fails: true, class: fault.Permanent},
		{name: "made and not listed", steps: []step{made("pending", 2500), refunds("")}, fails: true, class: fault.Transient},
		{name: "answer lost", steps: []step{{want: give, drop: true}}, fails: true, class: fault.Unavailable},
		{name: "503", steps: []step{failing(give, 503, "api_error", "", "")}, fails: true, class: fault.Unavailable},
		{name: "a 500 that is repeated for ever, refunded", steps: []step{again(failing(give, 500, "api_error", "", "")), refunds(re("re_1", "succeeded", 2500))}, want: "re_1"},
		{name: "a 500 that is repeated for ever, nothing", steps: []step{again(failing(give, 500, "api_error", "", "")), refunds("")}, fails: true, class: fault.Deferred},
		{name: "disputed", steps: []step{failing(give, 400, invalidType, "charge_disputed", "")}, fails: true, class: fault.Permanent},
		{name: "old: refunded", forgotten: true, steps: []step{refunds(re("re_1", "succeeded", 2500))}, want: "re_1"},
		{name: "old: nothing there", forgotten: true, steps: []step{refunds(""), made("succeeded", 2500)}, want: "re_1"},
		{name: "old: failed, no second one", forgotten: true, steps: []step{refunds(re("re_1", "failed", 2500))}, fails: true, class: fault.Permanent},
		{name: "old: look-up fails, nothing is started", forgotten: true, steps: []step{{want: list, drop: true}}, fails: true, class: fault.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, _ := play(t, tc.steps...)
			r := returned
			r.KeysForgotten = tc.forgotten
			got, err := g.Refund(t.Context(), r)
			if got != tc.want || (err != nil) != tc.fails || tc.fails && fault.ClassOf(err) != tc.class {
				t.Errorf("got %q, %v of class %s; want %q, failing: %t, class %s", got, err, fault.ClassOf(err), tc.want, tc.fails, tc.class)
			}
		})
	}
}

// What goes over the wire, so that the same event asks the same: another parameter would be another request to its key.
func TestParameters(t *testing.T) {
	g, s := play(t, created, pi(confirm, "succeeded", ""), made("succeeded", 2500), found(0), created, pi(cancel, "canceled", ""))
	if _, err := g.Charge(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Refund(t.Context(), returned); err != nil {
		t.Fatal(err)
	}
	old := asked
	old.OrderID, old.KeysForgotten = `it's\o-1`, true
	if _, err := g.Abandon(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	one := func(v string) []string { return []string{v} }
	want := []map[string][]string{
		{"amount": one("2500"), "currency": one("eur"), "payment_method": one("pm_card_visa"), "payment_method_types[0]": one("card"), "metadata[order_id]": one("o-1")},
		{"payment_method": one("pm_card_visa"), "error_on_requires_action": one("true")},
		{"payment_intent": one("pi_1"), "metadata[order_id]": one("o-1")},
		{"query": one(`metadata['order_id']:'it\'s\\o-1'`)},
	}
	if diff := cmp.Diff(want, s.forms[:4]); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

// A time-out is an unknown outcome: the lane asks again.
func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(release)
	g := Open(Config{URL: srv.URL, Key: config.NewSecret("sk_test_x"), Timeout: 50 * time.Millisecond}, 1, nil)
	defer g.Close()
	if _, err := g.Charge(t.Context(), asked); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("got %v of class %s, want class unavailable", err, fault.ClassOf(err))
	}
}

// An account that is refused meets every order; the log must say it, and not as often.
func TestRefusedAccountIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	defer slog.SetDefault(before)
	refused := failing(create, 401, invalidType, "", "")
	g, _ := play(t, refused, refused, refused)
	for range 3 {
		if _, err := g.Charge(t.Context(), asked); fault.ClassOf(err) != fault.Unavailable {
			t.Fatalf("got %v", err)
		}
	}
	if n := strings.Count(out.String(), "level=ERROR"); n != 1 || !strings.Contains(out.String(), "PAYMENT_GATEWAY_KEY") {
		t.Errorf("%d errors logged, want one that names the variable:\n%s", n, out.String())
	}
}

// A payment method that the gateway does not know is the customer's fault only where others are known.
func TestAnUnknownPaymentMethodIsADeclineWhileOthersAreTaken(t *testing.T) {
	g, _ := play(t, unknown, created, pi(confirm, "succeeded", ""), unknown, unknown, unknown)
	if o, err := g.Charge(t.Context(), asked); fault.ClassOf(err) != fault.Deferred {
		t.Errorf("nobody's is known: %+v, %v of class %s", o, err, fault.ClassOf(err))
	}
	if _, err := g.Charge(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	for n, customer := range []string{"ada", "bob", "eve"} {
		c := asked
		c.CustomerID = customer
		o, err := g.Charge(t.Context(), c)
		if n < 2 && (err != nil || o.Reason != "resource_missing") {
			t.Errorf("another's is known: %+v, %v", o, err)
		}
		if n == 2 && fault.ClassOf(err) != fault.Deferred {
			t.Errorf("the third in a row: %+v, %v of class %s", o, err, fault.ClassOf(err))
		}
	}
}

// What several customers meet one after the other is nobody's card: test and live keys are mixed. It is said in
// readiness and in the metric of the alert, until somebody is charged.
func TestTheSameRefusalOfManyIsLoud(t *testing.T) {
	telemetrytest.Record()
	g, _ := play(t, unknown, unknown, unknown, unknown, created, pi(confirm, "succeeded", ""))
	for n, customer := range []string{"ada", "ada", "bob", "eve"} {
		c := asked
		c.CustomerID = customer
		if _, err := g.Charge(t.Context(), c); fault.ClassOf(err) != fault.Deferred {
			t.Fatalf("%v of class %s", err, fault.ClassOf(err))
		}
		if ready := g.Ready(); (ready == nil) != (n < 3) {
			t.Errorf("after %d refusals: %v", n+1, ready)
		}
	}
	if got, _ := telemetrytest.Gauge(t, telemetry.GatewayRefused, ""); got != 3 {
		t.Errorf("%v customers in the metric, want 3", got)
	}
	if _, err := g.Charge(t.Context(), asked); err != nil || g.Ready() != nil {
		t.Errorf("then: %v, %v", err, g.Ready())
	}
	if got, ok := telemetrytest.Gauge(t, telemetry.GatewayRefused, ""); got != 0 || !ok {
		t.Errorf("%v customers in the metric afterwards", got)
	}
}

// Cards that several customers' banks decline say nothing of the payment method that the next one names.
func TestARunOfDeclinedCardsIsNotOneOfUnknownMethods(t *testing.T) {
	g, _ := play(t, created, decline, created, decline, created, decline, unknown)
	for _, customer := range []string{"ada", "bob", "eve"} {
		c := asked
		c.CustomerID = customer
		if o, err := g.Charge(t.Context(), c); err != nil || o != poor {
			t.Fatalf("%s: %+v, %v", customer, o, err)
		}
	}
	o, err := g.Charge(t.Context(), asked)
	if err != nil || o.Reason != "resource_missing" || g.Ready() != nil {
		t.Errorf("%+v, %v, ready: %v", o, err, g.Ready())
	}
}

// What is about us makes the service not ready, until the gateway takes something.
func TestWhatIsAboutUsIsInReadiness(t *testing.T) {
	g, _ := play(t, failing(create, 400, invalidType, "", "payment_method_types"), created, decline)
	if _, err := g.Charge(t.Context(), asked); fault.ClassOf(err) != fault.Unavailable || g.Ready() == nil {
		t.Errorf("%v of class %s, ready: %v", err, fault.ClassOf(err), g.Ready())
	}
	if o, err := g.Charge(t.Context(), asked); err != nil || o != poor || g.Ready() != nil {
		t.Errorf("then: %+v, %v, ready: %v", o, err, g.Ready())
	}
}

// Nothing of an answer's body gets into an error but Stripe's own message.
func TestErrorsHoldNoBody(t *testing.T) {
	g, _ := play(t, step{want: create, status: 400, body: `{"error":{"type":"invalid_request_error","code":"x","message":"no",
		"payment_intent":{"id":"pi_1","client_secret":"pi_1_secret_s3cret","receipt_email":"ada@example.com"}}}`})
	_, err := g.Charge(t.Context(), asked)
	if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "ada@") {
		t.Errorf("got %v", err)
	}
}
