package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	placed  = 12 // orders
	planted = 60 // facts
)

// plant has customers order, and appends what must count for nothing: of some facts a copy, another decision in the same place, and
// a next fact that names a wrong one before it; and what cannot be read. One more order is of facts without a body, which
// counts.
func (t *test) plant(ctx context.Context) error {
	if err := t.place(ctx); err != nil {
		return err
	}
	log, err := t.facts(ctx)
	if err != nil {
		return err
	}
	var all []*kgo.Record
	for _, r := range log {
		e, err := event.FromRecord(r)
		if err != nil || e.Sequence == 0 || !counted(e.Type) || len(all) >= 3*planted {
			continue
		}
		all = append(all, rig.Record(r), with(r, e, e.Sequence, e.PreviousID), with(r, e, e.Sequence+1, uuid.NewString()))
	}
	if len(all) == 0 {
		return fmt.Errorf("there are no facts among %d records", len(log))
	}
	all = append(all, unreadable()...)
	t.say("%d more orders; %d copies, superseded facts and garbage appended", placed, len(all))
	brokers := strings.Split(t.brokers, ",")
	if err := rig.Append(ctx, brokers, all...); err != nil {
		return err
	}
	return rig.AppendTogether(ctx, brokers, bare()...)
}

// bare are the facts of an order that was placed and confirmed, without a body: it has no currency, and its total is 0.
// Together, for order would cancel the first alone, whose deadline is over. They are valid, and a key of SQL that is NULL
// would stop the job for good.
func bare() []*kgo.Record {
	id, at := uuid.NewString(), time.Now()
	of := func(typ string, sequence uint64, eventID, previous string) *kgo.Record {
		return rig.Record(event.ToRecord(event.Event{
			ID: eventID, Type: typ, Source: "order", Subject: id, Time: at, Sequence: sequence, PreviousID: previous,
		}, "order.events.v1", broker.Partition([]byte(id), rig.Partitions)))
	}
	first := uuid.NewString()
	return []*kgo.Record{
		of("troupe.order.v1.OrderPlaced", 1, first, ""), of("troupe.order.v1.OrderConfirmed", 2, uuid.NewString(), first),
	}
}

// place places orders, some of which are declined or cancelled, and blocks until they are at rest.
func (t *test) place(ctx context.Context) error {
	for n := range placed {
		order := rest.PlaceOrder{
			CustomerID: "c-streams", Email: "ada@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa",
			Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 1, UnitPrice: 1250}},
		}
		outcome := []string{"confirmed", "cancelled", "cancelled"}[n%3]
		if n%3 == 1 {
			order.PaymentMethod = "pm_card_chargeDeclined"
		}
		a, err := t.orders.Place(ctx, uuid.NewString(), order)
		if err == nil && n%3 == 2 {
			_, err = t.orders.Cancel(ctx, a.ID)
		}
		if err != nil {
			return err
		}
		err = rig.Until(ctx, "order "+a.ID+" at rest", func() (string, error) {
			o, err := t.orders.Order(ctx, a.ID, rest.Read{Token: a.ConsistencyToken})
			if err != nil || string(o.Status) == outcome && rest.Ended(o) {
				return "", err
			}
			return "it is " + string(o.Status), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// counted is true for facts that figures are made from.
func counted(typ string) bool {
	return typ == "troupe.order.v1.OrderConfirmed" || strings.HasPrefix(typ, "troupe.payment.v1.Payment")
}

// with returns the record of another fact of the same body.
func with(r broker.Record, e event.Event, sequence uint64, previous string) *kgo.Record {
	e.ID, e.Sequence, e.PreviousID = uuid.NewString(), sequence, previous
	return rig.Record(event.ToRecord(e, r.Topic, r.Partition))
}

// unreadable are a record without headers and value, a type that no schema has, and bytes that are not the message of
// their type.
func unreadable() []*kgo.Record {
	order := uuid.NewString()
	at := broker.Partition([]byte(order), rig.Partitions)
	e := event.Event{
		ID: uuid.NewString(), Type: "troupe.order.v1.OrderShipped", Source: "order", Subject: order, Time: time.Now(), Sequence: 1,
	}
	unknown := rig.Record(event.ToRecord(e, "order.events.v1", at))
	e.ID, e.PreviousID, e.Type, e.Sequence, e.Data = uuid.NewString(), e.ID, "troupe.order.v1.OrderConfirmed", 2, []byte{1, 2, 3}
	return []*kgo.Record{
		{Topic: "payment.events.v1", Partition: int32(at), Key: []byte(order)}, unknown, rig.Record(event.ToRecord(e, "order.events.v1", at)),
	}
}
