package gateway

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var newIntentForm = []string{"amount=2500", "currency=eur", "payment_method=pm_card_visa", "metadata[order_id]=o-1"}

func TestSameKeySameAnswer(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	first := ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm...).want(200)
	if first.header.Get("Idempotent-Replayed") != "" {
		t.Error("the first answer says that it is a repetition")
	}
	id := first.text("id")
	ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "c").want(200)

	// The parameters may come in another order, and the answer is that of then, though the intent has moved on.
	again := ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm[3], newIntentForm[1], newIntentForm[0], newIntentForm[2]).want(200)
	if again.body != first.body || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("repeated: %s, %v; first %s", again.body, again.header, first.body)
	}
	for name, got := range map[string]answered{
		"other parameters": ask(t, h, "POST", "/v1/payment_intents", "k", append(newIntentForm, "metadata[k]=x")...),
		"other endpoint":   ask(t, h, "POST", "/v1/refunds", "k", "payment_intent="+id),
		"other intent":     ask(t, h, "POST", "/v1/payment_intents/"+create(t, h, "o-2", "pm_card_visa")+"/confirm", "c"),
	} {
		if got.want(400); got.text("error", "type") != "idempotency_error" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	if ask(t, h, "POST", "/v1/payment_intents", strings.Repeat("k", 256), newIntentForm...).status != 400 {
		t.Error("a key of 256 characters was taken")
	}
	if l := ledgerOf(t, h); l.Totals.Charges != 1 || l.Totals.Refunds != 0 || l.Totals.Intents != 2 {
		t.Errorf("ledger %+v", l.Totals)
	}
}

// Stripe remembers every answer of a request that it began, declines and wrong states too, and none of one that it refused to begin.
func TestWhichAnswersAreRemembered(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	poor := create(t, h, "o-1", "pm_card_chargeDeclinedInsufficientFunds")
	confirm := "/v1/payment_intents/" + poor + "/confirm"
	for n := range 2 {
		got := ask(t, h, "POST", confirm, "d").want(402)
		if got.text("error", "type") != "card_error" || got.text("error", "code") != "card_declined" ||
			got.text("error", "decline_code") != "insufficient_funds" || got.text("error", "payment_intent", "status") != "requires_payment_method" ||
			got.get("error", "http_status") != nil || got.get("error", "payment_intent", "last_payment_error", "http_status") != nil {
			t.Errorf("declined: %s", got.body)
		}
		if replayed := got.header.Get("Idempotent-Replayed") == "true"; replayed != (n == 1) {
			t.Errorf("time %d: replayed %t", n, replayed)
		}
	}
	// Another card works, under another key; the key of the decline still says declined.
	ask(t, h, "POST", confirm, "e", "payment_method=pm_card_visa").want(200)
	ask(t, h, "POST", confirm, "d").want(402)
	ask(t, h, "POST", confirm, "f").want(400)
	if got := ask(t, h, "POST", confirm, "f").want(400); got.header.Get("Idempotent-Replayed") != "true" {
		t.Error("an answer about a wrong state is not remembered")
	}
	// Refused before it began.
	ask(t, h, "POST", "/v1/payment_intents", "g", "amount=1", "currency=eur").want(400)
	ask(t, h, "POST", "/v1/payment_intents", "g", newIntentForm...).want(200)
	if l := ledgerOf(t, h).Orders["o-1"].Intents[0]; len(l.Charges) != 2 || l.Charges[0].Status != "failed" || l.Charges[1].Status != "succeeded" {
		t.Errorf("charges %+v", l.Charges)
	}
}

func TestKeysAreForgottenAfterADay(t *testing.T) {
	c := newClock()
	h := open(t, t.TempDir(), c.Now).Handler()
	first := ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm...).want(200).text("id")
	c.add(24 * time.Hour)
	if id := ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm...).want(200).text("id"); id != first {
		t.Errorf("after 24 h: another intent %s, want %s", id, first)
	}
	c.add(time.Second)
	if id := ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm...).want(200).text("id"); id == first {
		t.Error("after more than 24 h the key is still known")
	}
}

func TestKeyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, t.TempDir(), nil).Handler()
		id := create(t, h, "o-1", "pm_sim_slow_2s")
		confirm := "/v1/payment_intents/" + id + "/confirm"
		began := time.Now()
		var first answered
		var wg sync.WaitGroup
		wg.Go(func() { first = ask(t, h, "POST", confirm, "k") })
		synctest.Wait()
		if got := ask(t, h, "POST", confirm, "k").want(409); got.text("error", "code") != "idempotency_key_in_use" {
			t.Errorf("in flight: %s", got.body)
		}
		wg.Wait()
		if first.want(200); time.Since(began) != 2*time.Second || first.text("status") != "succeeded" {
			t.Errorf("after %s: %s", time.Since(began), first.body)
		}
		if again := ask(t, h, "POST", confirm, "k").want(200); again.body != first.body || time.Since(began) != 2*time.Second {
			t.Errorf("again after %s: %s", time.Since(began), again.body)
		}
	})
}

// A cancel overtakes a confirm that is still on its way, which then finds the intent canceled.
func TestCancelOvertakesSlowConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, t.TempDir(), nil).Handler()
		id := create(t, h, "o-1", "pm_sim_slow_2s")
		var late answered
		var wg sync.WaitGroup
		wg.Go(func() { late = ask(t, h, "POST", "/v1/payment_intents/"+id+"/confirm", "k") })
		synctest.Wait()
		ask(t, h, "POST", "/v1/payment_intents/"+id+"/cancel", "c").want(200)
		wg.Wait()
		if late.want(400); late.text("error", "code") != "payment_intent_unexpected_state" || late.text("error", "payment_intent", "status") != "canceled" {
			t.Errorf("late: %s", late.body)
		}
		if n := ledgerOf(t, h).Totals.Charges; n != 0 {
			t.Errorf("%d charges", n)
		}
	})
}

// However many ask at once, with one key or with many, the money moves once.
func TestOnceUnderConcurrency(t *testing.T) {
	h := open(t, t.TempDir(), nil).Handler()
	for _, oneKey := range []bool{true, false} {
		id := create(t, h, "o-"+strconv.FormatBool(oneKey), "pm_card_visa")
		for _, post := range [][]string{{"/v1/payment_intents/" + id + "/confirm"}, {"/v1/refunds", "payment_intent=" + id}} {
			var wg sync.WaitGroup
			for n := range 50 {
				key := post[0] + "one"
				if !oneKey {
					key += strconv.Itoa(n)
				}
				wg.Go(func() {
					if got := ask(t, h, "POST", post[0], key, post[1:]...); got.status != 200 && got.status != 400 && got.status != 409 {
						t.Errorf("status %d: %s", got.status, got.body)
					}
				})
			}
			wg.Wait()
		}
	}
	for id, o := range ledgerOf(t, h).Orders {
		if len(o.Intents) != 1 || len(o.Intents[0].Charges) != 1 || len(o.Intents[0].Refunds) != 1 {
			t.Errorf("order %s: %+v", id, o)
		}
	}
}
