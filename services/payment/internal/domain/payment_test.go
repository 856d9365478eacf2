package domain

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var (
	charge    = Charge{EventID: "e-1", OrderID: "o-1", Amount: 2500, Currency: "EUR", Method: "pm_card_visa"}
	succeeded = PaymentSucceeded{IntentID: "pi_1", Amount: 2500, Currency: "EUR"}
	declined  = PaymentDeclined{Reason: "insufficient_funds", IntentID: "pi_1"}
	refunded  = PaymentRefunded{RefundID: "re_1", IntentID: "pi_1", Amount: 2500, Currency: "EUR"}
)

func TestEvolve(t *testing.T) {
	paid := Payment{Status: Succeeded, IntentID: "pi_1", Amount: 2500, Currency: "EUR"}
	back := Payment{Status: Refunded, IntentID: "pi_1", Amount: 2500, Currency: "EUR"}
	no := Payment{Status: Declined, IntentID: "pi_1"}
	for _, tc := range []struct {
		name string
		from Payment
		fact Fact
		want Payment
	}{
		{"open, succeeded", Payment{}, succeeded, paid},
		{"open, declined", Payment{}, declined, no},
		{"open, refunded is refused", Payment{}, refunded, Payment{}},
		{"succeeded, refunded", paid, refunded, back},
		{"succeeded, succeeded again is refused", paid, PaymentSucceeded{IntentID: "pi_2"}, paid},
		{"succeeded, declined is refused", paid, declined, paid},
		{"declined is final", no, succeeded, no},
		{"declined has nothing to give back", no, refunded, no},
		{"refunded is final", back, refunded, back},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.from.Evolve(tc.fact); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestSettle(t *testing.T) {
	for _, tc := range []struct {
		name    string
		outcome Outcome
		want    Fact
		fails   bool
	}{
		{"charged", Outcome{IntentID: "pi_1", Charged: true, Amount: 2500, Currency: "EUR"}, succeeded, false},
		{"declined", Outcome{IntentID: "pi_1", Reason: "insufficient_funds"}, declined, false},
		{"refused without an intent", Outcome{Reason: "amount_too_small"}, PaymentDeclined{Reason: "amount_too_small"}, false},
		{"another amount", Outcome{IntentID: "pi_1", Charged: true, Amount: 2501, Currency: "EUR"}, nil, true},
		{"another currency", Outcome{IntentID: "pi_1", Charged: true, Amount: 2500, Currency: "USD"}, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Payment{}.Settle(charge, tc.outcome)
			if got != tc.want || (err != nil) != tc.fails {
				t.Errorf("got %+v, %v; want %+v, failing: %t", got, err, tc.want, tc.fails)
			}
		})
	}
}

func TestGiveBack(t *testing.T) {
	if _, _, err := (Payment{}).GiveBack(); !errors.Is(err, ErrOpen) {
		t.Errorf("open: got %v, want ErrOpen", err)
	}
	r, ok, err := Payment{Status: Succeeded, IntentID: "pi_1", Amount: 2500, Currency: "EUR"}.GiveBack()
	if want := (Return{IntentID: "pi_1", Amount: 2500, Currency: "EUR"}); r != want || !ok || err != nil {
		t.Errorf("succeeded: got %+v, %t, %v; want %+v", r, ok, err, want)
	}
	for _, s := range []Status{Declined, Refunded} {
		if _, ok, err := (Payment{Status: s}).GiveBack(); ok || err != nil {
			t.Errorf("%s: got %t, %v; want nothing to give back", s, ok, err)
		}
	}
}

// event is one delivery to a payment: an order placed or cancelled, with what the gateway would say.
type event struct {
	placed  bool
	outcome Outcome
}

// answer is what the participant does with an event, without its doors.
func answer(p Payment, e event) (Fact, error) {
	if e.placed {
		if p.Status != Open {
			return nil, nil
		}
		return p.Settle(charge, e.outcome)
	}
	if _, ok, err := p.GiveBack(); !ok || err != nil {
		return nil, err
	}
	return p.Refund("re_1"), nil
}

func drawEvents(t *rapid.T) []event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		e := event{placed: rapid.Bool().Draw(t, "placed"), outcome: Outcome{Reason: "card_declined"}}
		if rapid.Bool().Draw(t, "charged") {
			e.outcome = Outcome{IntentID: "pi_1", Charged: true, Amount: charge.Amount, Currency: charge.Currency}
		}
		return e
	}), 0, 12).Draw(t, "events")
}

// Any order and any duplication of deliveries ends in a state that the table allows, and gives back at most what was charged.
func TestAnyDeliveryEndsInALegalState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Payment
		var charges, refunds int
		for _, e := range drawEvents(t) {
			fact, err := answer(p, e)
			if err != nil {
				if !errors.Is(err, ErrOpen) || p.Status != Open {
					t.Fatalf("%+v in %+v: %v", e, p, err)
				}
				continue
			}
			if fact == nil {
				continue
			}
			if !slices.Contains(next[p.Status], fact.status()) {
				t.Fatalf("%s after %q is not in the table", fact.status(), p.Status)
			}
			switch fact.(type) {
			case PaymentSucceeded:
				charges++
			case PaymentRefunded:
				refunds++
			}
			p = p.Evolve(fact)
			if p.Status != fact.status() {
				t.Fatalf("state %q after fact %s", p.Status, fact.status())
			}
		}
		if charges > 1 || refunds > charges {
			t.Fatalf("%d charges, %d refunds", charges, refunds)
		}
		if paid := p.Status == Succeeded || p.Status == Refunded; paid != (p.Amount == charge.Amount) {
			t.Fatalf("%+v: the amount charged must be known exactly when there was a charge", p)
		}
	})
}

// Facts that are not valid in the log leave no trace: the fold of all facts equals the fold of those the table allows.
func TestFoldIgnoresWhatMayNotFollow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.SampledFrom([]Fact{succeeded, declined, refunded}), 0, 8).Draw(t, "facts")
		var p, legal Payment
		for _, f := range all {
			p = p.Evolve(f)
			if slices.Contains(next[legal.Status], f.status()) {
				legal = legal.Evolve(f)
			}
		}
		if p != legal {
			t.Fatalf("%+v, without the refused facts %+v", p, legal)
		}
	})
}
