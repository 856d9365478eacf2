package payment

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var (
	succeeded = &paymentv1.PaymentSucceeded{Amount: 2500, Currency: "EUR"}
	declined  = &paymentv1.PaymentDeclined{Reason: "generic_decline"}
	refunded  = &paymentv1.PaymentRefunded{RefundId: "re_1", Amount: 2500, Currency: "EUR"}
)

// Orders are charged, declined and given back; a restart with an empty store, and every event delivered once more, moves no money.
func TestRun(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	if w.status("/livez") != http.StatusOK || w.status("/readyz") != http.StatusServiceUnavailable {
		t.Error("without its topic it must live and not be ready")
	}
	w.provision()
	w.eventually("ready", func() bool { return w.status("/readyz") == http.StatusOK })

	w.publish(orderPlaced("good", "pm_card_visa"))
	w.publish(orderPlaced("poor", "pm_card_chargeDeclined"))
	good := w.awaitFacts("good", 1)
	wantFacts(t, good, succeeded)
	if f := good[0]; f.Source != Name || f.CausationID != "good-1" || f.Sequence != 1 {
		t.Errorf("fact %+v", f.Event)
	}
	wantFacts(t, w.awaitFacts("poor", 1), declined)
	w.publish(orderCancelled("good"))
	w.publish(orderCancelled("poor"))
	wantFacts(t, w.awaitFacts("good", 2), succeeded, refunded)

	stop()
	c := redis.NewClient(&redis.Options{Addr: w.cfg.Redis.Addrs[0]})
	defer func() { _ = c.Close() }()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, order := range []string{"good", "poor"} {
		w.publish(orderPlaced(order, "pm_card_visa"))
		w.publish(orderCancelled(order))
	}
	w.start()
	// Same partitions as the duplicates, and behind them: when these are answered, so are those.
	after := map[string]bool{}
	for n := range 20 {
		order := "after-" + string(rune('a'+n))
		after[order] = true
		w.publish(orderPlaced(order, "pm_card_visa"))
	}
	for order := range after {
		wantFacts(t, w.awaitFacts(order, 1), succeeded)
	}
	wantFacts(t, w.facts("good"), succeeded, refunded)
	wantFacts(t, w.facts("poor"), declined)
	if charges, refunds := w.stripe.money("good"); charges != 1 || refunds != 1 {
		t.Errorf("%d charges, %d refunds", charges, refunds)
	}
	if w.status("/metrics") != http.StatusOK {
		t.Error("no metrics")
	}
}

// While the gateway is down orders wait, nothing is parked, and readiness says so; then all goes on by itself.
func TestRunThroughAnOutage(t *testing.T) {
	w := newWorld(t)
	w.provision()
	w.stripe.setDown(true)
	w.start()
	w.eventually("ready", func() bool { return w.status("/readyz") == http.StatusOK })
	orders := make([]string, 120) // enough in every partition that most of its lanes wait
	for n := range orders {
		orders[n] = fmt.Sprintf("waits-%d", n)
		w.publish(orderPlaced(orders[n], "pm_card_visa"))
	}
	w.eventually("orders that wait", w.stripe.asked)
	w.eventually("not ready when most orders wait", func() bool { return w.status("/readyz") == http.StatusServiceUnavailable })
	w.stripe.setDown(false)
	for _, order := range orders {
		wantFacts(t, w.awaitFacts(order, 1), succeeded)
		if letters := w.read(participant.DeadLettersTopic(Name), order); len(letters) != 0 {
			t.Errorf("order %s: %d dead letters", order, len(letters))
		}
	}
	w.eventually("ready again", func() bool { return w.status("/readyz") == http.StatusOK })
}

// An event that breaks a rule is parked with all that follows of its order; the others flow.
func TestRunParksWhatBreaksARule(t *testing.T) {
	w := newWorld(t)
	w.provision()
	w.start()
	bad := orderPlaced("bad", "pm_card_visa")
	bad.Body.(*orderv1.OrderPlaced).PaymentDeadline = nil
	w.publish(bad)
	w.publish(orderCancelled("bad"))
	w.publish(orderPlaced("good", "pm_card_visa"))
	wantFacts(t, w.awaitFacts("good", 1), succeeded)
	var letters []event.Message
	w.eventually("both events parked", func() bool {
		letters = w.read(participant.DeadLettersTopic(Name), "bad")
		return len(letters) >= 2
	})
	if letters[0].ID != "bad-1" || letters[1].ID != "bad-2" {
		t.Errorf("parked %s, %s", letters[0].ID, letters[1].ID)
	}
	if got := w.facts("bad"); len(got) != 0 {
		t.Errorf("answered with %v", got)
	}
	if charges, _ := w.stripe.money("bad"); charges != 0 {
		t.Errorf("%d charges", charges)
	}
}

// With the clock half an hour ahead of the gateway's no good order is given up, and readiness says so.
func TestRunWithAClockThatIsWrong(t *testing.T) {
	w := newWorld(t)
	w.provision()
	w.stripe.mu.Lock()
	w.stripe.ahead = 30 * time.Minute
	w.stripe.mu.Unlock()
	w.start()
	for n := range 12 {
		order := fmt.Sprintf("good-%d", n)
		m := orderPlaced(order, "pm_card_visa")
		placed := time.Now().Add(-30 * time.Minute).UTC()
		m.Time = placed
		m.Body.(*orderv1.OrderPlaced).PaymentDeadline = timestamppb.New(placed.Add(15 * time.Minute))
		w.publish(m)
	}
	for n := range 12 {
		facts := w.awaitFacts(fmt.Sprintf("good-%d", n), 1)
		wantFacts(t, facts, succeeded)
		if facts[0].Time.After(time.Now().Add(-29 * time.Minute)) {
			t.Errorf("the fact is dated %s, in the future of the gateway", facts[0].Time)
		}
	}
	w.eventually("not ready", func() bool { return w.status("/readyz") == http.StatusServiceUnavailable })
}
