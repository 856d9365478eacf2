package payment

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	partitions = 3
	patience   = 40 * time.Second
)

// world is what payment lives in, and the service when it runs.
type world struct {
	t      *testing.T
	cfg    Config
	log    *broker.Client
	stripe *stripeServer
	url    string
}

func newWorld(t *testing.T) *world {
	cfg, err := config.Load[Config](nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, stripe: serveStripe(t)}
	cfg.Kafka, cfg.Redis.Addrs = brokertest.Fresh(t), []string{storetest.Addr(t)}
	cfg.HTTPAddr, cfg.Partitions, cfg.Gateway.URL = "127.0.0.1:0", partitions, w.stripe.url
	w.cfg = cfg
	if w.log, err = broker.Open(cfg.Kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.log.Close() })
	return w
}

// provision makes the topic that the service waits for.
func (w *world) provision() {
	w.t.Helper()
	topic := broker.Topic{Name: participant.FactsTopic("order"), Partitions: partitions, Retention: 720 * time.Hour}
	if err := w.log.Provision(w.t.Context(), []broker.Topic{topic}); err != nil {
		w.t.Fatal(err)
	}
}

// start runs the service; stop ends it and fails the test if it did not end well.
func (w *world) start() (stop func()) {
	w.t.Helper()
	listening := make(chan net.Addr, 1)
	cfg := w.cfg
	cfg.Listening = func(a net.Addr) { listening <- a }
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }() // received in every case
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("service ended with %v", err)
		}
	})
	select {
	case a := <-listening:
		w.url = "http://" + a.String()
	case err := <-ended:
		cancel()
		w.t.Fatalf("service did not start: %v", err)
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			w.t.Fatalf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}

func (w *world) status(path string) int {
	w.t.Helper()
	resp, err := http.Get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// publish appends the event of an order that the order service would.
func (w *world) publish(m event.Message) {
	w.t.Helper()
	data, err := event.Encode(m.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	e := m.Event
	e.Source, e.Type, e.Data = "order", event.TypeOf(m.Body), data
	tp := broker.TopicPartition{Topic: participant.FactsTopic("order"), Partition: broker.Partition([]byte(e.Subject), partitions)}
	w.eventually("published", func() bool { // a topic made a moment ago may not have a leader yet
		ok := false
		w.log.Produce(w.t.Context(), []broker.Batch{{TopicPartition: tp, Records: []broker.Record{event.ToRecord(e, tp.Topic, tp.Partition)}}},
			func(p broker.Produced) { ok = p.Err == nil })
		return ok
	})
}

// read returns what a topic holds of an order.
func (w *world) read(topic, order string) []event.Message {
	w.t.Helper()
	tp := broker.TopicPartition{Topic: topic, Partition: broker.Partition([]byte(order), partitions)}
	ends, err := w.log.Ends(w.t.Context(), []broker.TopicPartition{tp})
	if fault.ClassOf(err) == fault.Unavailable { // not there yet
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	var found []event.Message
	for at := int64(0); at < ends[tp]; {
		got, err := w.log.Fetch(w.t.Context(), []broker.Position{{TopicPartition: tp, Offset: at}})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range got {
			for _, r := range f.Records {
				e, err := event.FromRecord(r)
				if err != nil {
					w.t.Fatal(err)
				}
				m, err := event.Decode(e)
				if err != nil {
					w.t.Fatal(err)
				}
				if m.Subject == order {
					found = append(found, m)
				}
			}
			at = max(at, f.Next)
		}
	}
	return found
}

func (w *world) facts(order string) []event.Message {
	w.t.Helper()
	return w.read(participant.FactsTopic(Name), order)
}

// awaitFacts waits until so many facts of an order are there, and returns them.
func (w *world) awaitFacts(order string, n int) []event.Message {
	w.t.Helper()
	var got []event.Message
	w.eventually("a fact of order "+order, func() bool { got = w.facts(order); return len(got) >= n })
	return got
}

func orderPlaced(order, method string) event.Message {
	now := time.Now().UTC()
	return event.Message{Event: event.Event{ID: order + "-1", Subject: order, Sequence: 1, Time: now}, Body: &orderv1.OrderPlaced{
		Total: 2500, Currency: "EUR", PaymentMethod: method, PaymentDeadline: timestamppb.New(now.Add(15 * time.Minute)),
	}}
}

func orderCancelled(order string) event.Message {
	return event.Message{Event: event.Event{ID: order + "-2", Subject: order, Sequence: 2, PreviousID: order + "-1", Time: time.Now().UTC()},
		Body: &orderv1.OrderCancelled{}}
}

func wantFacts(t *testing.T, got []event.Message, want ...proto.Message) {
	t.Helper()
	var bodies []proto.Message
	for _, m := range got {
		bodies = append(bodies, m.Body)
	}
	if diff := cmp.Diff(want, bodies, protocmp.Transform(), protocmp.IgnoreFields(&paymentv1.PaymentSucceeded{}, "payment_intent_id"),
		protocmp.IgnoreFields(&paymentv1.PaymentDeclined{}, "payment_intent_id"),
		protocmp.IgnoreFields(&paymentv1.PaymentRefunded{}, "payment_intent_id")); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}
