package order

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/storetest"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"google.golang.org/protobuf/proto"
)

const (
	partitions = 3
	patience   = 30 * time.Second
)

// service is a running order service, with the world around it.
type service struct {
	t     *testing.T
	url   string
	log   *broker.Client
	redis string
	stop  func() error
}

// start runs the service on an empty broker and store. The payment topic, which it waits for, is not there yet.
func start(t *testing.T, deadline time.Duration) *service {
	cfg, err := config.Load[Config](nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kafka, cfg.Redis.Addrs = brokertest.Fresh(t), []string{storetest.Addr(t)}
	cfg.HTTPAddr, cfg.Partitions, cfg.PaymentDeadline = "127.0.0.1:0", partitions, deadline
	listening := make(chan net.Addr, 1)
	cfg.Listening = func(a net.Addr) { listening <- a }
	log, err := broker.Open(cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	stop := func() error { cancel(); err := <-ended; ended <- err; return err }
	t.Cleanup(func() { _ = stop() })
	select {
	case a := <-listening:
		return &service{t: t, url: "http://" + a.String(), log: log, redis: cfg.Redis.Addrs[0], stop: stop}
	case err := <-ended:
		ended <- err
		t.Fatalf("did not start: %v", err)
		return nil
	}
}

// eventually waits for a condition.
func (s *service) eventually(what string, cond func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-deadline:
			s.t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// open lets the service become ready.
func (s *service) open() {
	s.t.Helper()
	if err := s.log.Provision(s.t.Context(), []broker.Topic{
		{Name: participant.FactsTopic("payment"), Partitions: partitions, Retention: 30 * 24 * time.Hour},
	}); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("ready", func() bool { return s.get("/readyz") == http.StatusOK })
}

func (s *service) get(path string) int {
	resp, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// answer of the service, as far as it matters here.
type answer struct {
	Code     int
	Location string
	ID       string `json:"id"`
	Status   string `json:"status"`
	Total    int64  `json:"total"`
	Token    string `json:"consistency_token"`
}

func (s *service) post(path, key, body string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, bytes.NewBufferString(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{Code: resp.StatusCode, Location: resp.Header.Get("Location")}
	if a.Code == http.StatusAccepted { // a problem document otherwise
		err = json.NewDecoder(resp.Body).Decode(&a)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// facts returns the events of an order in a topic, in order.
func (s *service) facts(topic, id string) []event.Message {
	s.t.Helper()
	tp := broker.TopicPartition{Topic: topic, Partition: broker.Partition([]byte(id), partitions)}
	var got []event.Message
	for at, end := int64(0), int64(1); at < end; {
		fetched, err := s.log.Fetch(s.t.Context(), []broker.Position{{TopicPartition: tp, Offset: at}})
		if err != nil || fetched[0].Err != nil {
			return nil // a leader that moves: asked again
		}
		for _, r := range fetched[0].Records {
			e, err := event.FromRecord(r)
			if err != nil {
				s.t.Fatal(err)
			}
			m, err := event.Decode(e)
			if err != nil {
				s.t.Fatal(err)
			}
			if e.Subject == id {
				got = append(got, m)
			}
		}
		at, end = fetched[0].Next, fetched[0].End
	}
	return got
}

// await waits until an order's own topic holds these types, in this order, and returns the events.
func (s *service) await(id string, types ...string) []event.Message {
	s.t.Helper()
	var got []event.Message
	var names []string
	s.eventually("the events "+id, func() bool {
		got, names = s.facts(participant.FactsTopic(Name), id), nil
		for _, m := range got {
			names = append(names, m.Type[len("troupe.order.v1."):])
		}
		if len(names) > len(types) {
			s.t.Fatalf("order %s has %v, want %v", id, names, types)
		}
		return slices.Equal(names, types)
	})
	return got
}

// pay publishes what payment answers to OrderPlaced.
func (s *service) pay(placed event.Message, body proto.Message) {
	s.t.Helper()
	data, err := event.Encode(body)
	if err != nil {
		s.t.Fatal(err)
	}
	typ := event.TypeOf(body)
	e := event.Event{
		ID: event.FactID(placed.ID, "payment", typ), Type: typ, Source: "payment", Subject: placed.Subject, Time: time.Now(), Sequence: 1,
		CausationID: placed.ID, Data: data,
	}
	r := event.ToRecord(e, participant.FactsTopic("payment"), broker.Partition([]byte(placed.Subject), partitions))
	s.log.Produce(s.t.Context(), []broker.Batch{{
		TopicPartition: broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}, Records: []broker.Record{r},
	}}, func(p broker.Produced) {
		if p.Err != nil {
			s.t.Error(p.Err)
		}
	})
}

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

	if c := s.post("/orders/0f8fad5b-d9cb-569f-a165-70867728950e/cancel", "", ""); c.Code != 404 {
		t.Errorf("cancel of an unknown order: %+v", c)
	}
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
