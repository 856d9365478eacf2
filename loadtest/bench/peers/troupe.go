package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/notification"
	"github.com/troupe-dev/troupe/services/order"
	"github.com/troupe-dev/troupe/services/payment"
	"github.com/troupe-dev/troupe/services/query"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Troupe is the product's own participants and projection, whole, with telemetry as it is by default. Only the two doors outside are
// replaced, by what the peers have in their place.
func Troupe(ctx context.Context, e *flow.Env) (err error) {
	flush, err := telemetry.Start(ctx, "bench", telemetry.Config{LogFormat: "text", LogLevel: slog.LevelWarn})
	if err != nil {
		return err
	}
	defer func() {
		within, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		err = errors.Join(err, flush(within))
	}()
	return Quiet(ctx, e)
}

// Quiet is Troupe without telemetry.
func Quiet(ctx context.Context, e *flow.Env) error {
	g, ctx := errgroup.WithContext(ctx)
	open := func() (*broker.Client, error) {
		return broker.Open(broker.Config{Brokers: e.Brokers, ReplicationFactor: 1})
	}
	perform := func(run func(log *broker.Client) func(context.Context) error) error {
		log, err := open()
		if err != nil {
			return err
		}
		g.Go(func() error { return errors.Join(run(log)(ctx), log.Close()) })
		return nil
	}
	cfg := func(log *broker.Client) participant.Config {
		return participant.Config{Log: log, Redis: e.Redis, Partitions: e.Partitions, Concurrency: e.Concurrency}
	}
	doors := doors{e}
	err := errors.Join(
		perform(func(log *broker.Client) func(context.Context) error {
			return participant.New(order.Behavior(), cfg(log)).Run
		}),
		perform(func(log *broker.Client) func(context.Context) error {
			return participant.New(payment.Behavior(doors, 24*time.Hour, 14*24*time.Hour), cfg(log)).Run
		}),
		perform(func(log *broker.Client) func(context.Context) error {
			return participant.New(notification.Behavior(doors, 120*time.Hour), cfg(log)).Run
		}),
		perform(func(log *broker.Client) func(context.Context) error {
			b := query.Behavior()
			b.Stored = func(before, after query.Document) {
				if whole(after) && !whole(before) {
					e.Done(after.Order.Customer, after.Order.Placed.Time())
				}
			}
			return projection.New(b, projection.Config{Log: log, Redis: e.Redis, Partitions: e.Partitions}).Run
		}),
	)
	return errors.Join(err, g.Wait())
}

// whole says that a document has its first and its last event; topics are folded in any order.
func whole(d query.Document) bool { return d.Order.Customer != "" && len(d.Mails) > 0 }

// TroupeOrder is the record of the n-th order, under a key that fits; nil: any does. The customer's id is the order's number, so that
// Done knows it in the read model.
func TroupeOrder(n int, due time.Time, partitions int, fits func(key string) bool) broker.Record {
	key := func(orderID string) string { return event.MakeID("bench", orderID) }
	var fitting func(orderID string) bool
	if fits != nil {
		fitting = func(orderID string) bool { return fits(key(orderID)) }
	}
	o := flow.Order(n, due, fitting)
	id := key(o.OrderID)
	body := &orderv1.OrderPlaced{
		CustomerId: o.OrderID, Email: o.Email, Currency: o.Currency, Total: o.Total, PaymentMethod: o.Payment,
		PlacedAt: timestamppb.New(due), PaymentDeadline: timestamppb.New(due.Add(time.Hour)), BodyHash: make([]byte, 32),
		Lines: []*orderv1.Line{{Sku: o.Lines[0].SKU, Name: o.Lines[0].Name, Quantity: 2, UnitPrice: o.Lines[0].UnitPrice}},
	}
	data, err := event.Encode(body)
	if err != nil {
		panic(fmt.Sprintf("encode order %d: %v", n, err)) // plain data
	}
	return event.ToRecord(event.Event{
		ID: event.MakeID(id, "placed"), Type: event.TypeOf(body), Source: order.Name, Subject: id, Time: due, Sequence: 1, Data: data,
		TraceParent: traceParent(n), // as the door of the order service gives it
	}, participant.FactsTopic(order.Name), broker.Partition([]byte(id), partitions))
}

func traceParent(n int) string { return fmt.Sprintf("00-%032x-%016x-00", n+1, n+1) }

// doors stand in for the gateway and the mail server.
type doors struct{ e *flow.Env }

func (d doors) Charge(ctx context.Context, c payment.Charge) (payment.Outcome, error) {
	d.e.Started()
	if err := wait.Sleep(ctx, d.e.Charge); err != nil {
		return payment.Outcome{}, err
	}
	return payment.Outcome{IntentID: "pi_" + c.EventID, Charged: true, Amount: c.Amount, Currency: c.Currency}, nil
}

func (d doors) Abandon(ctx context.Context, c payment.Charge) (payment.Outcome, error) {
	return d.Charge(ctx, c)
}

func (doors) Refund(context.Context, payment.Return) (string, error) {
	return "", errors.New("nothing is refunded in this benchmark")
}

func (doors) MessageID(causeID string) string { return "<" + causeID + "@bench>" }

func (doors) Send(context.Context, notification.Mail) error { return nil }
