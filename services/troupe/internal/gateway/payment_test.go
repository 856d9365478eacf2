package gateway

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestPaymentAgainstSimulator(t *testing.T) {
	st := newStage(t)
	for _, tc := range []struct {
		method  string
		total   int64
		reason  string // empty: succeeded
		intents int
	}{
		{"pm_card_visa", 2500, "", 1},
		{"pm_card_chargeDeclined", 2500, "generic_decline", 1},
		{"pm_card_chargeDeclinedInsufficientFunds", 2500, "insufficient_funds", 1},
		{"pm_card_authenticationRequired", 2500, "authentication_required", 1},
		{"pm_card_nosuch", 2500, "resource_missing", 0},
		{"pm_sim_error", 2500, "", 1},
		{"pm_sim_lost_answer_once", 2500, "", 1},
	} {
		m := st.placed(tc.method+"-"+string(rune('a'+tc.total%26)), tc.method, tc.total)
		fact := st.answer(m)
		if again := st.answer(m); !cmp.Equal(fact, again, protocmp.Transform()) {
			t.Errorf("%s: the same event was answered with %v, then with %v", tc.method, fact, again)
		}
		back := st.answer(st.cancelled(m), fact)
		if tc.reason != "" {
			wantReason(t, fact, tc.reason)
			st.wantMoney(m, tc.intents, 0, 0)
			if back != nil {
				t.Errorf("%s: declined and given back: %v", tc.method, back)
			}
			continue
		}
		paid, ok := fact.(*paymentv1.PaymentSucceeded)
		if !ok || paid.GetAmount() != tc.total || paid.GetCurrency() != "EUR" {
			t.Errorf("%s: %v", tc.method, fact)
			continue
		}
		if r, ok := back.(*paymentv1.PaymentRefunded); !ok || r.GetAmount() != tc.total || r.GetPaymentIntentId() != paid.GetPaymentIntentId() {
			t.Errorf("%s: given back %v", tc.method, back)
		}
		st.wantMoney(m, 1, 1, 1)
	}
}

// What nobody's card is to blame for is never told to the customer as a decline.
func TestWhatIsNotTheCardIsNoDecline(t *testing.T) {
	st := newStage(t)
	for name, tc := range map[string]struct {
		event event.Message
		class fault.Class
	}{
		"an unknown payment method, where nobody's is known to work": {st.placed("a", "pm_card_nosuch", 2500), fault.Deferred},
		"a refusal that names nothing":                               {st.placed("c", "pm_sim_refused", 2500), fault.Permanent},
	} {
		fact, err := st.react(tc.event)
		if fact != nil || fault.ClassOf(err) != tc.class {
			t.Errorf("%s: %v, %v of class %s", name, fact, err, fault.ClassOf(err))
		}
	}
}

// An amount that the order's door takes and the gateway does not is declined, so that the order settles.
func TestAnAmountThatIsTooSmallIsADecline(t *testing.T) {
	st := newStage(t)
	m := st.placed("a", "pm_card_visa", 49)
	fact, err := st.react(m)
	if declined, ok := fact.(*paymentv1.PaymentDeclined); !ok || declined.GetReason() != "amount_too_small" {
		t.Errorf("%v, %v", fact, err)
	}
	st.wantMoney(m, 0, 0, 0)
}

// Crash rows 5 and 17: the instance dies, or an answer is lost, at each step; the next attempt comes at once, after the payment
// deadline, or when the gateway has forgotten its keys.
func TestPaymentThroughCrashes(t *testing.T) {
	for name, cut := range map[string]func(*stage){
		"create does not arrive":   func(st *stage) { st.cut(st.refused, "create") },
		"create's answer is lost":  func(st *stage) { st.cut(st.lost, "create") },
		"confirm does not arrive":  func(st *stage) { st.cut(st.refused, "confirm") },
		"confirm's answer is lost": func(st *stage) { st.cut(st.lost, "confirm") },
	} {
		for _, later := range []time.Duration{0, deadline + time.Second, keyMemory + 2*time.Hour} {
			for _, method := range []string{"pm_card_visa", "pm_card_chargeDeclined"} {
				t.Run(name+", "+later.String()+" later, "+method, func(t *testing.T) {
					st := newStage(t)
					cut(st)
					m := st.placed("e", method, 2500)
					if _, err := st.react(m); fault.ClassOf(err) != fault.Unavailable {
						t.Fatalf("%v of class %s", err, fault.ClassOf(err))
					}
					_, taken, _ := st.money(m)
					st.clock.add(later)
					if later > deadline {
						st.cut(st.lost, "cancel")
					}
					fact := st.answer(m)
					charge := method == "pm_card_visa" && (taken == 1 || later == 0)
					if _, ok := fact.(*paymentv1.PaymentSucceeded); ok != charge {
						t.Errorf("answered with %v; charged: %t", fact, charge)
					}
					charges, refunds := 0, 0
					if charge {
						charges, refunds = 1, 1
					}
					st.wantMoney(m, 1, charges, 0)

					c := st.cancelled(m)
					st.cut(st.lost, "refund")
					if charge {
						if _, err := st.react(c, fact); fault.ClassOf(err) != fault.Unavailable {
							t.Fatalf("refund: %v of class %s", err, fault.ClassOf(err))
						}
						st.clock.add(later)
					}
					if back := st.answer(c, fact); (back != nil) != charge {
						t.Errorf("given back: %v", back)
					}
					st.wantMoney(m, 1, charges, refunds)
				})
			}
		}
	}
}

// A charge that is still on the wire when the deadline has passed: whoever comes first wins, and both tell the same.
func TestChargeOnTheWireAtTheDeadline(t *testing.T) {
	st := newStage(t)
	m := st.placed("e", "pm_sim_slow_1s", 2500)
	type result struct {
		fact proto.Message
		err  error
	}
	slow := make(chan result, 1)
	go func() {
		fact, err := st.react(m)
		slow <- result{fact, err}
	}()
	await(t, func() bool {
		st.simulator.mu.Lock()
		defer st.simulator.mu.Unlock()
		return st.simulator.running["e:confirm"]
	})
	st.clock.add(deadline + time.Second)
	fact := st.answer(m)
	first := <-slow
	if first.err != nil || !cmp.Equal(first.fact, fact, protocmp.Transform()) {
		t.Errorf("the slow one says %v, %v; the other one %v", first.fact, first.err, fact)
	}
	wantReason(t, fact, "payment_timeout")
	st.wantMoney(m, 1, 0, 0)
}

// An outage parks nothing and charges nothing twice.
func TestPaymentThroughOutage(t *testing.T) {
	st := newStage(t)
	put(t, st.sim, `{"outage":true}`).want(200)
	m := st.placed("e", "pm_card_visa", 2500)
	for range 3 {
		if _, err := st.react(m); fault.ClassOf(err) != fault.Unavailable {
			t.Fatalf("%v of class %s", err, fault.ClassOf(err))
		}
	}
	ask(t, st.sim, "DELETE", "/control", "").want(200)
	put(t, st.sim, `{"lose_answers_percent":100}`).want(200)
	if _, ok := st.answer(m).(*paymentv1.PaymentSucceeded); !ok {
		t.Error("not charged after the outage")
	}
	st.wantMoney(m, 1, 1, 0)
}

// A payment method that is never answered ends at the deadline, uncharged.
func TestPaymentMethodOutageEndsAtTheDeadline(t *testing.T) {
	st := newStage(t)
	m := st.placed("e", "pm_sim_outage", 2500)
	if _, err := st.react(m); fault.ClassOf(err) != fault.Unavailable {
		t.Fatalf("%v", err)
	}
	st.clock.add(deadline + time.Second)
	wantReason(t, st.answer(m), "payment_timeout")
	st.wantMoney(m, 1, 0, 0)
}

func TestProcessingIsAwaited(t *testing.T) {
	st := newStage(t)
	m := st.placed("e", "pm_sim_processing_30s", 2500)
	for range 2 {
		if _, err := st.react(m); fault.ClassOf(err) != fault.Deferred {
			t.Fatalf("%v", err)
		}
	}
	st.clock.add(30 * time.Second)
	paid := st.answer(m)
	if _, ok := paid.(*paymentv1.PaymentSucceeded); !ok {
		t.Errorf("got %v", paid)
	}
	st.wantMoney(m, 1, 1, 0)
}

func TestPendingRefundIsAwaited(t *testing.T) {
	st := newStage(t)
	m := st.placed("e", "pm_card_pendingRefund", 2500)
	paid := st.answer(m)
	c := st.cancelled(m)
	if _, err := st.react(c, paid); fault.ClassOf(err) != fault.Deferred {
		t.Fatalf("%v", err)
	}
	st.clock.add(2 * time.Second)
	if back, ok := st.answer(c, paid).(*paymentv1.PaymentRefunded); !ok || back.GetRefundId() == "" {
		t.Errorf("got %v", back)
	}
	st.wantMoney(m, 1, 1, 1)
}
