// Package consoletest plays the part of the other services for tests: it writes the events of orders into a log, chained as
// their participants would, and runs the projection behind them.
package consoletest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/console"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Partitions of every topic.
const Partitions = 4

// Topics of facts.
var Topics = []string{"order.events.v1", "payment.events.v1", "notification.events.v1"}

// Private is what no document and no story may hold.
const (
	Email         = "ada@example.com"
	PaymentMethod = "pm_card_visa"
)

// ID is the order id of a name.
func ID(name string) string { return event.MakeID("test order", name) }

// Writer makes the events of orders.
type Writer struct {
	heads map[string]event.Event
	// Clock is the time of the next event; each takes a millisecond more.
	Clock time.Time
}

// NewWriter returns a writer whose clock begins now.
func NewWriter() *Writer {
	return &Writer{heads: map[string]event.Event{}, Clock: time.Now().UTC().Truncate(time.Millisecond)}
}

// Next makes the record of an order's next event in a topic (a place in Topics), in answer to cause.
func (w *Writer) Next(topic int, orderID string, body proto.Message, cause broker.Record) broker.Record {
	data, err := event.Encode(body)
	if err != nil {
		panic(err)
	}
	causeID := ""
	if e, err := event.FromRecord(cause); err == nil {
		causeID = e.ID
	}
	chain := fmt.Sprint(topic, orderID)
	head := w.heads[chain]
	e := event.Event{
		ID:   event.MakeID(orderID, causeID, event.TypeOf(body), fmt.Sprint(head.Sequence)),
		Type: event.TypeOf(body), Source: []string{"order", "payment", "notification"}[topic], Subject: orderID, Time: w.Clock,
		CausationID: causeID, Data: data,
	}
	w.Clock = w.Clock.Add(time.Millisecond)
	if _, request := body.(*orderv1.OrderCancellationRequested); !request {
		e.Sequence, e.PreviousID = head.Sequence+1, head.ID
		w.heads[chain] = e
	}
	return event.ToRecord(e, Topics[topic], broker.Partition([]byte(orderID), Partitions))
}

// Placed is the first event of an order: two pounds of tea.
func (w *Writer) Placed(orderID, customer string) broker.Record {
	return w.Next(0, orderID, &orderv1.OrderPlaced{
		CustomerId: customer, Email: Email, Currency: "EUR", PaymentMethod: PaymentMethod, Total: 2500,
		Lines:    []*orderv1.Line{{Sku: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
		PlacedAt: timestamppb.New(w.Clock), PaymentDeadline: timestamppb.New(w.Clock.Add(time.Minute)), BodyHash: make([]byte, 32),
	}, broker.Record{})
}

// Confirmed returns the whole story of an order that went well.
func (w *Writer) Confirmed(orderID, customer string) []broker.Record {
	placed := w.Placed(orderID, customer)
	paid := w.Next(1, orderID, &paymentv1.PaymentSucceeded{PaymentIntentId: "pi_1", Amount: 2500, Currency: "EUR"}, placed)
	confirmed := w.Next(0, orderID, &orderv1.OrderConfirmed{CustomerId: customer, Email: Email, Currency: "EUR", Total: 2500}, paid)
	return []broker.Record{placed, paid, confirmed, w.mail(orderID, notificationv1.Kind_KIND_CONFIRMED, confirmed)}
}

// Declined returns the whole story of an order whose card was declined.
func (w *Writer) Declined(orderID, customer string) []broker.Record {
	placed := w.Placed(orderID, customer)
	declined := w.Next(1, orderID, &paymentv1.PaymentDeclined{Reason: "card_declined", PaymentIntentId: "pi_1"}, placed)
	cancelled := w.cancelled(orderID, customer, orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED, declined)
	return []broker.Record{placed, declined, cancelled, w.mail(orderID, notificationv1.Kind_KIND_CANCELLED, cancelled)}
}

// Refunded returns the whole story of an order that was confirmed, and cancelled by its customer.
func (w *Writer) Refunded(orderID, customer string) []broker.Record {
	story := w.Confirmed(orderID, customer)
	asked := w.Next(0, orderID, &orderv1.OrderCancellationRequested{RequestedAt: timestamppb.New(w.Clock)}, broker.Record{})
	cancelled := w.cancelled(orderID, customer, orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER, asked)
	told := w.mail(orderID, notificationv1.Kind_KIND_CANCELLED, cancelled)
	refunded := w.Next(1, orderID, &paymentv1.PaymentRefunded{RefundId: "re_1", PaymentIntentId: "pi_1", Amount: 2500, Currency: "EUR"}, cancelled)
	failed := w.Next(2, orderID, &notificationv1.NotificationFailed{
		Kind: notificationv1.Kind_KIND_REFUNDED, MessageId: "m3@troupe.example", Email: Email, Reason: "550 no such mailbox",
	}, refunded)
	return append(story, asked, cancelled, told, refunded, failed)
}

func (w *Writer) cancelled(orderID, customer string, why orderv1.CancellationReason, cause broker.Record) broker.Record {
	return w.Next(0, orderID, &orderv1.OrderCancelled{Reason: why, CustomerId: customer, Email: Email, Currency: "EUR", Total: 2500}, cause)
}

func (w *Writer) mail(orderID string, kind notificationv1.Kind, cause broker.Record) broker.Record {
	id := event.MakeID(orderID, kind.String()) + "@troupe.example"
	return w.Next(2, orderID, &notificationv1.NotificationSent{Kind: kind, MessageId: id, Email: Email}, cause)
}

// Stage is a log, a read model and the projection between them.
type Stage struct {
	*Writer
	T     testing.TB
	Log   *brokertest.Memory
	Redis redis.UniversalClient
	Feed  *projection.Feed
	Model *letters.Model
}

// New returns an empty stage; nothing is folded before Play.
func New(t testing.TB) *Stage {
	s := &Stage{Writer: NewWriter(), T: t, Log: brokertest.New(), Redis: storetest.Fresh(t)}
	for _, topic := range slices.Concat(Topics, letters.Notes) {
		if err := s.Log.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: Partitions}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Feed = projection.NewFeed(s.Redis, console.Name, Partitions)
	s.Model = letters.New(console.Behavior(), s.Feed, s.Redis, Partitions)
	s.Run(s.Feed.Run)
	return s
}

// Play runs the projection until stop is called, or the test ends.
func (s *Stage) Play() (stop func()) {
	return s.Run(projection.New(console.Behavior(), projection.Config{Log: s.Log, Redis: s.Redis, Partitions: Partitions}).Run)
}

// Run runs a part until stop is called, or the test ends; both wait for it.
func (s *Stage) Run(part func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.T.Errorf("run: %v", err)
		}
	})
	s.T.Cleanup(stop)
	return stop
}

// Put appends records and returns the consistency token of the last.
func (s *Stage) Put(records ...broker.Record) (token string) {
	for _, r := range records {
		tp := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		token = event.Token(tp, s.Log.Append(tp, r))
	}
	return token
}

// Caught waits until the read model has everything that is in the log.
func (s *Stage) Caught() {
	s.T.Helper()
	r := projection.NewReader(console.Behavior(), s.Redis)
	Eventually(s.T, func() string {
		states, err := r.States(s.T.Context(), Partitions)
		if err != nil {
			return err.Error()
		}
		for p, state := range states {
			for _, topic := range letters.Notes {
				tp := broker.TopicPartition{Topic: topic, Partition: p}
				ends, err := s.Log.Ends(s.T.Context(), []broker.TopicPartition{tp})
				if err != nil {
					return err.Error()
				}
				if state.Rebuilding || !state.Passed(topic, ends[tp]-1) {
					return fmt.Sprintf("%s/%d is folded to %d of %d", topic, p, state.Positions[topic], ends[tp])
				}
			}
		}
		return ""
	})
}

// Eventually waits until check has nothing to say.
func Eventually(t testing.TB, check func() string) {
	t.Helper()
	limit := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		said := check()
		if said == "" {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("it never came to be: %s", said)
		}
		<-tick.C
	}
}
