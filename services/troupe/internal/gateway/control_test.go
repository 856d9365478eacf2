package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// control sends a body to /control.
func put(t *testing.T, h http.Handler, body string) answered {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "/control", strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answered{t: t, status: w.Code, header: w.Header(), body: w.Body.String()}
}

func TestControlRefusesWhatCannotBe(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	for field, value := range map[string]string{
		"decline_percent": "101", "refuse_percent": "-1", "refuse_parameters": "1", "pend_refunds_ms": "600001", "delay_ms": "60001",
		"outage": "1", "flap_ms": "600001", "lose_answers_percent": "200", "double_charge_next": "1001", "reset_after_s": "86401",
	} {
		if got := put(t, h, `{"`+field+`":`+value+`}`).want(400); !strings.Contains(got.body, `"field":"/`+field+`"`) {
			t.Errorf("%s: %s does not name it", field, got.body)
		}
	}
}

// Requests below /v1 are bounded: one more waits, and is in nobody's way who asks for the ledger or ends the delay.
func TestRequestsThatAreHeldUpShutNobodyOutOfTheControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, t.TempDir(), nil).Handler()
		put(t, h, `{"delay_ms":30000}`).want(200)
		var callers sync.WaitGroup
		var answered atomic.Int64
		for range maxInFlight + 1 {
			callers.Go(func() {
				if got := ask(t, h, "GET", "/v1/payment_intents/x", ""); got.status == http.StatusNotFound {
					answered.Add(1)
				}
			})
		}
		<-time.After(30 * time.Second)
		synctest.Wait()
		if n := answered.Load(); n != maxInFlight {
			t.Errorf("%d were answered at first", n)
		}
		ask(t, h, "GET", "/ledger", "").want(200)
		put(t, h, `{}`).want(200)
		callers.Wait()
		if n := answered.Load(); n != maxInFlight+1 {
			t.Errorf("%d were answered in the end", n)
		}
	})
}

// The second charge is the gateway's own doing: the answer, and the answer to the same key again, show nothing of it.
func TestDoubleChargeNext(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	put(t, h, `{"double_charge_next":1}`).want(200)
	declined := create(t, h, "o-0", "pm_card_chargeDeclined")
	ask(t, h, "POST", "/v1/payment_intents/"+declined+"/confirm", "").want(402)
	for _, order := range []string{"o-1", "o-2"} {
		id := create(t, h, order, "pm_card_visa")
		ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "key-"+order).want(200)
		ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "key-"+order).want(200)
	}
	charges := func(order string) int { return len(ledgerOf(t, h).Orders[order].Intents[0].Charges) }
	if charges("o-0") != 1 || charges("o-1") != 2 || charges("o-2") != 1 {
		t.Errorf("charges: %d, %d, %d; want 1 declined, 2, 1", charges("o-0"), charges("o-1"), charges("o-2"))
	}
}

// What is refused began nothing: the same request with the same key goes through once the control ends, and only new intents are
// refused.
func TestRefusePercent(t *testing.T) {
	c := newClock()
	h := open(t, t.TempDir(), c.Now).Handler()
	form := []string{"amount=2500", "currency=eur", "payment_method=pm_card_visa", "metadata[order_id]=o-2"}
	id := create(t, h, "o-1", "pm_card_visa")
	put(t, h, `{"refuse_percent":100,"reset_after_s":10}`).want(200)
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "").want(200)
	got := ask(t, h, "POST", "/v1/payment_intents", "k", form...).want(400)
	if e, _ := got.get("error").(map[string]any); e["type"] != typeInvalid || e["param"] != nil {
		t.Errorf("refused with %s", got.body)
	}
	if n := ledgerOf(t, h).Totals.Charges; n != 1 {
		t.Errorf("%d charges", n)
	}
	c.add(10 * time.Second)
	ask(t, h, "POST", "/v1/payment_intents", "k", form...).want(200)

	put(t, h, `{"refuse_percent":30}`).want(200)
	refused := 0
	for i := range 100 {
		order := fmt.Sprintf("metadata[order_id]=o-%d", i)
		for range 2 { // the same answer twice
			if ask(t, h, "POST", "/v1/payment_intents", "", "amount=2500", "currency=eur", order).status == 400 {
				refused++
			}
		}
	}
	if refused%2 != 0 || refused < 30 || refused > 100 {
		t.Errorf("%d of 200 requests were refused, 60 should be about", refused)
	}
}

func TestRefuseParameters(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	form := []string{"amount=2500", "currency=eur", "payment_method=pm_card_visa"}
	put(t, h, `{"refuse_parameters":true}`).want(200)
	if got := ask(t, h, "POST", "/v1/payment_intents", "k", form...).want(400); got.text("error", "param") != "payment_method_types" {
		t.Errorf("refused with %s", got.body)
	}
	put(t, h, `{}`).want(200)
	ask(t, h, "POST", "/v1/payment_intents", "k", form...).want(200)
}

func TestPendRefunds(t *testing.T) {
	c := newClock()
	h := open(t, t.TempDir(), c.Now).Handler()
	put(t, h, `{"pend_refunds_ms":3000}`).want(200)
	id := charged(t, h, "o-1")
	re := ask(t, h, "POST", "/v1/refunds", "", "payment_intent="+id).want(200)
	put(t, h, `{}`).want(200)
	status := func() string { return ledgerOf(t, h).Orders["o-1"].Intents[0].Refunds[0].Status }
	if re.text("status") != "pending" || status() != "pending" {
		t.Errorf("made %s, then %s", re.body, status())
	}
	c.add(3 * time.Second)
	if status() != "succeeded" {
		t.Errorf("after its time: %s", status())
	}
	if again := ask(t, h, "POST", "/v1/refunds", "", "payment_intent="+charged(t, h, "o-2")).want(200); again.text("status") != "succeeded" {
		t.Errorf("after the control: %s", again.body)
	}
}

func TestOutage(t *testing.T) {
	c := newClock()
	h := open(t, t.TempDir(), c.Now).Handler()
	id := create(t, h, "o-1", "pm_card_visa")
	put(t, h, `{"outage":true,"reset_after_s":10}`).want(200)
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "k").want(503)
	ask(t, h, "GET", "/v1/payment_intents/"+id, "").want(503)
	if got := ask(t, h, "GET", "/control", "").want(200); got.get("outage") != true {
		t.Errorf("control %s", got.body)
	}
	if n := ledgerOf(t, h).Totals.Charges; n != 0 {
		t.Errorf("%d charges in an outage", n)
	}
	c.add(10 * time.Second)
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "k").want(200)

	put(t, h, `{"outage":true}`).want(200)
	c.add(100 * time.Hour)
	ask(t, h, "GET", "/v1/payment_intents/"+id, "").want(503)
	ask(t, h, "DELETE", "/control", "").want(200)
	ask(t, h, "GET", "/v1/payment_intents/"+id, "").want(200)
}

func TestFlapping(t *testing.T) {
	c := newClock()
	h := open(t, t.TempDir(), c.Now).Handler()
	put(t, h, `{"flap_ms":1000}`).want(200)
	for n, want := range []int{503, 503, 200, 200, 503, 503, 200} {
		if got := ask(t, h, "GET", search("o-1"), ""); got.status != want {
			t.Errorf("after %d × 500 ms: status %d, want %d", n, got.status, want)
		}
		c.add(500 * time.Millisecond)
	}
}

func TestDeclinePercent(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	for _, tc := range []struct{ percent, least, most int }{{0, 0, 0}, {100, 200, 200}, {30, 30, 95}} {
		put(t, h, fmt.Sprintf(`{"decline_percent":%d}`, tc.percent)).want(200)
		declines := 0
		for n := range 200 {
			id := create(t, h, fmt.Sprintf("o-%d-%d", tc.percent, n), "pm_card_visa")
			if ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "").status == 402 {
				declines++
			}
		}
		// 200 draws at 30 %: 30 to 95 is more than five standard deviations away on either side.
		if declines < tc.least || declines > tc.most {
			t.Errorf("%d %%: %d of 200 declined", tc.percent, declines)
		}
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, t.TempDir(), nil).Handler()
		put(t, h, `{"delay_ms":300}`).want(200)
		began := time.Now()
		id := create(t, h, "o-1", "pm_card_visa")
		ask(t, h, "GET", "/v1/payment_intents/"+id, "").want(200)
		if d := time.Since(began); d != 600*time.Millisecond {
			t.Errorf("two requests took %s", d)
		}
		put(t, h, `{}`).want(200)
		ask(t, h, "GET", "/v1/payment_intents/"+id, "").want(200)
		if d := time.Since(began); d != 600*time.Millisecond {
			t.Errorf("without a delay, after %s", d)
		}
	})
}

func TestLoseAnswers(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	put(t, h, `{"lose_answers_percent":100}`).want(200)
	lost := func() (lost bool) {
		defer func() { lost = recover() == any(http.ErrAbortHandler) }()
		ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm...)
		return false
	}
	if !lost() {
		t.Error("the first answer came")
	}
	if l := ledgerOf(t, h); l.Totals.Intents != 1 {
		t.Errorf("ledger %+v", l.Totals)
	}
	ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm...).want(200)
}
