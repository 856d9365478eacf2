package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestPaymentMethods(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	for _, tc := range []struct {
		method      string
		form        string
		status      int
		code        string
		declineCode string
		ends        string // status of the intent
		charges     int
	}{
		{"pm_card_visa", "", 200, "", "", "succeeded", 1},
		{"pm_card_mastercard", "", 200, "", "", "succeeded", 1},
		{"pm_card_chargeDeclined", "", 402, "card_declined", "generic_decline", "requires_payment_method", 0},
		{"pm_card_visa_chargeDeclined", "", 402, "card_declined", "generic_decline", "requires_payment_method", 0},
		{"pm_card_chargeDeclinedInsufficientFunds", "", 402, "card_declined", "insufficient_funds", "requires_payment_method", 0},
		{"pm_card_visa_chargeDeclinedLostCard", "", 402, "card_declined", "lost_card", "requires_payment_method", 0},
		{"pm_card_chargeDeclinedExpiredCard", "", 402, "expired_card", "expired_card", "requires_payment_method", 0},
		{"pm_card_authenticationRequired", "", 200, "", "", "requires_action", 0},
		{"pm_card_authenticationRequired", "error_on_requires_action=true", 402, "authentication_required", "authentication_required", "requires_payment_method", 0},
		{"pm_sim_error", "", 500, "", "", "succeeded", 1},
		{"pm_sim_outage", "", 503, "", "", "requires_confirmation", 0},
		{"pm_sim_processing_60s", "", 200, "", "", "processing", 0},
	} {
		t.Run(tc.method+" "+tc.form, func(t *testing.T) {
			order := tc.method + tc.form
			id := create(t, h, order, tc.method)
			var form []string
			if tc.form != "" {
				form = append(form, tc.form)
			}
			got := ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", order, form...).want(tc.status)
			if got.text("error", "code") != tc.code || got.text("error", "decline_code") != tc.declineCode {
				t.Errorf("answer %s", got.body)
			}
			if now := ask(t, h, "GET", "/v1/payment_intents/"+id, "").want(200); now.text("status") != tc.ends {
				t.Errorf("intent %s, want %s", now.text("status"), tc.ends)
			}
			taken := 0
			for _, c := range ledgerOf(t, h).Orders[order].Intents[0].Charges {
				if c.Status == succeeded {
					taken++
				}
			}
			if taken != tc.charges {
				t.Errorf("%d charges, want %d", taken, tc.charges)
			}
			// What was begun is remembered, an outage is not.
			again := ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", order, form...).want(tc.status)
			if replayed := again.header.Get("Idempotent-Replayed") == "true"; replayed != (tc.status != 503) {
				t.Errorf("replayed %t", replayed)
			}
		})
	}
}

// Nothing was begun: the same key may come with another payment method, as it does when somebody put the order right.
func TestRefusedMethod(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	form := []string{"amount=2500", "currency=eur", "metadata[order_id]=o-1", "payment_method="}
	for range 2 {
		got := ask(t, h, "POST", "/v1/payment_intents", "k", append(form[:3:3], form[3]+"pm_sim_refused")...).want(400)
		if e, _ := got.get("error").(map[string]any); e["type"] != typeInvalid || e["param"] != nil || e["code"] != nil {
			t.Errorf("refused with %s", got.body)
		}
	}
	id := ask(t, h, "POST", "/v1/payment_intents", "k", append(form[:3:3], form[3]+"pm_card_visa")...).want(200).text("id")
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "", "payment_method=pm_sim_refused").want(400)
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "").want(200)
}

func TestProcessingSettlesByItself(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := open(t, dir, c.Now)
	h := s.Handler()
	id := create(t, h, "o-1", "pm_sim_processing_2s")
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "k").want(200)
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/cancel", "").want(400)
	ask(t, h, "POST", "/v1/refunds", "", "payment_intent="+id).want(400)
	if got := ask(t, h, "GET", "/v1/payment_intents/"+id, ""); got.text("status") != "processing" || got.get("amount_received") != 0.0 {
		t.Errorf("at once: %s", got.body)
	}
	c.add(2 * time.Second)
	for _, h := range []http.Handler{h, reopen(t, s, dir, c.Now).Handler()} {
		if got := ask(t, h, "GET", "/v1/payment_intents/"+id, ""); got.text("status") != "succeeded" || got.get("amount_received") != 2500.0 {
			t.Errorf("after 2 s: %s", got.body)
		}
		if l := ledgerOf(t, h); l.Totals.Charges != 1 {
			t.Errorf("ledger %+v", l.Totals)
		}
		// The answer of then, as Stripe repeats it.
		if got := ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "k").want(200); got.text("status") != "processing" {
			t.Errorf("repeated: %s", got.body)
		}
	}
}

func TestPendingRefund(t *testing.T) {
	c := newClock()
	h := open(t, t.TempDir(), c.Now).Handler()
	id := create(t, h, "o-1", "pm_card_pendingRefund")
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "").want(200)
	back := ask(t, h, "POST", "/v1/refunds", "k", "payment_intent="+id).want(200)
	if back.text("status") != "pending" {
		t.Errorf("at once: %s", back.body)
	}
	c.add(2 * time.Second)
	if got := ask(t, h, "GET", "/v1/refunds?payment_intent="+id, ""); !strings.Contains(got.body, `"status":"succeeded"`) {
		t.Errorf("after 2 s: %s", got.body)
	}
	if got := ask(t, h, "POST", "/v1/refunds", "k", "payment_intent="+id).want(200); got.body != back.body {
		t.Errorf("repeated: %s", got.body)
	}
}

// The answer that does not come belongs to a charge that was made; asked again, the answer is there.
func TestLostAnswers(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, method := range []string{"pm_sim_timeout_once", "pm_sim_lost_answer_once"} {
		id := create(t, h, method, method)
		confirm := "/v1/payment_intents/" + id + "/confirm"
		ctx, stop := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+confirm, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer sk_test_x")
		r.Header["Idempotency-Key"] = []string{method}
		r.Close = true // on a used connection the client would ask once more by itself
		failed := make(chan error, 1)
		go func() {
			resp, err := http.DefaultClient.Do(r)
			if err == nil {
				err = resp.Body.Close()
			}
			failed <- err
		}()
		await(t, func() bool {
			return ask(t, h, "GET", "/v1/payment_intents/"+id, "").text("status") == "succeeded"
		})
		if method == "pm_sim_lost_answer_once" {
			if err := <-failed; err == nil {
				t.Errorf("%s: the first answer came", method)
			}
			stop()
		} else {
			stop()
			if err := <-failed; err == nil {
				t.Errorf("%s: the first answer came", method)
			}
		}
		if got := ask(t, h, "POST", confirm, method).want(200); got.text("status") != "succeeded" {
			t.Errorf("%s: repeated: %s", method, got.body)
		}
		if l := ledgerOf(t, h).Orders[method].Intents[0]; len(l.Charges) != 1 {
			t.Errorf("%s: charges %+v", method, l.Charges)
		}
	}
}

// await polls a condition that another goroutine brings about, until a deadline that is only met by a defect.
func await(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatal("the condition did not come true")
		case <-tick.C:
		}
	}
}
