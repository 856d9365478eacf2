package order

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
)

const tea = `{"customer_id":"c-1001","email":"ada@example.com","currency":"EUR","payment_method":"pm_card_visa",` +
	`"lines":[{"sku":"TEA-250","name":"Green tea","quantity":2,"unit_price":1250}]}`

const otherTea = `{"customer_id":"c-1001","email":"ada@example.com","currency":"EUR","payment_method":"pm_card_visa",` +
	`"lines":[{"sku":"TEA-250","name":"Green tea","quantity":3,"unit_price":1250}]}`

func TestAnOrderThroughTheService(t *testing.T) {
	s := start(t, 15*time.Minute)
	if live, ready := s.get("/livez"), s.get("/readyz"); live != 200 || ready != 503 {
		t.Errorf("before its topics exist: live %d, ready %d", live, ready)
	}
	s.open()

	a := s.post("/orders", "first-order", tea)
	if a.Code != 202 || a.Status != "placed" || a.Total != 2500 || a.Location != "http://127.0.0.1:8084/orders/"+a.ID {
		t.Fatalf("placed: %+v", a)
	}
	placed := s.await(a.ID, "OrderPlaced")
	if tp, offset, err := event.ParseToken(a.Token); err != nil || tp.Topic != "order.events.v1" || offset != 0 {
		t.Errorf("token %v@%d, %v", tp, offset, err)
	}
	if again := s.post("/orders", "first-order", tea); again != a {
		t.Errorf("again: %+v, first %+v", again, a)
	}
	if other := s.post("/orders", "first-order", otherTea); other.Code != 422 {
		t.Errorf("another body: %+v", other)
	}

	s.pay(placed[0], &paymentv1.PaymentSucceeded{PaymentIntentId: "pi_1", Amount: 2500, Currency: "EUR"})
	facts := s.await(a.ID, "OrderPlaced", "OrderConfirmed")
	if c := facts[1]; c.Sequence != 2 || c.PreviousID != placed[0].ID || c.CausationID == "" || c.Body.(*orderv1.OrderConfirmed).GetTotal() != 2500 {
		t.Errorf("confirmed: %+v", facts[1])
	}

	// Redis is disposable: the same request is the same order, another body still refused, and a cancellation still finds it.
	if err := redis.NewClient(&redis.Options{Addr: s.redis}).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the same answer after FLUSHALL", func() bool {
		again := s.post("/orders", "first-order", tea)
		if again.Code != 503 && again != a {
			t.Fatalf("after FLUSHALL: %+v, first %+v", again, a)
		}
		return again == a
	})
	if other := s.post("/orders", "first-order", otherTea); other.Code != 422 {
		t.Errorf("another body after FLUSHALL: %+v", other)
	}
	for range 2 {
		if c := s.post("/orders/"+a.ID+"/cancel", "", ""); c.Code != 202 || c.ID != a.ID {
			t.Errorf("cancel: %+v", c)
		}
	}
	s.eventually("cancelled once", func() bool {
		var cancelled []event.Message
		for _, m := range s.facts(participant.FactsTopic(Name), a.ID) {
			if _, ok := m.Body.(*orderv1.OrderCancelled); ok {
				cancelled = append(cancelled, m)
			}
		}
		if len(cancelled) > 1 || len(cancelled) == 1 && cancelled[0].Body.(*orderv1.OrderCancelled).GetReason() != orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER {
			t.Fatalf("cancelled: %+v", cancelled)
		}
		return len(cancelled) == 1
	})

	s.eventually("an unknown order is said to be one", func() bool {
		c := s.post("/orders/0f8fad5b-d9cb-569f-a165-70867728950e/cancel", "", "")
		if c.Code != 404 && c.Code != 503 { // its partition may still be folded
			t.Fatalf("cancel of an unknown order: %+v", c)
		}
		return c.Code == 404
	})
	if code := s.get("/metrics"); code != 200 {
		t.Errorf("metrics: %d", code)
	}
	if err := s.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestAPaymentAfterTheDeadlineChangesNothing(t *testing.T) {
	s := start(t, 500*time.Millisecond)
	s.open()
	reason := func(m event.Message) orderv1.CancellationReason { return m.Body.(*orderv1.OrderCancelled).GetReason() }

	late := s.post("/orders", "late-payment", tea)
	facts := s.await(late.ID, "OrderPlaced", "OrderCancelled")
	if r := reason(facts[1]); r != orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT {
		t.Errorf("without a payment: %s", r)
	}
	s.pay(facts[0], &paymentv1.PaymentSucceeded{PaymentIntentId: "pi_1", Amount: 2500, Currency: "EUR"})

	// An order of the same partition behind the late payment: when it is answered, the late payment was answered with nothing.
	var next answer
	s.eventually("an order in the same partition", func() bool {
		next = s.post("/orders", event.MakeID(next.ID), tea)
		return broker.Partition([]byte(next.ID), partitions) == broker.Partition([]byte(late.ID), partitions)
	})
	s.await(next.ID, "OrderPlaced", "OrderCancelled")
	s.await(late.ID, "OrderPlaced", "OrderCancelled")
	if err := s.stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestADeclinedPaymentCancels(t *testing.T) {
	s := start(t, 15*time.Minute)
	s.open()
	a := s.post("/orders", "declined-order", tea)
	s.pay(s.await(a.ID, "OrderPlaced")[0], &paymentv1.PaymentDeclined{Reason: "card_declined"})
	facts := s.await(a.ID, "OrderPlaced", "OrderCancelled")
	if r := facts[1].Body.(*orderv1.OrderCancelled).GetReason(); r != orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED {
		t.Errorf("reason %s", r)
	}
}
