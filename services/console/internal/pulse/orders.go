package pulse

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/check"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
)

// order is what the log says of one order. Offsets are 1 more than where the fact lies; 0: there is none.
type order struct {
	id        string
	partition int
	heads     [3]head // by topic
	placedAt  time.Time
	total     int64

	placed, confirmed, cancelled  int64
	succeeded, declined, refunded int64
	sent                          []string // Message-IDs
	measured                      bool     // the time that it took to settle first

	money *check.Money // at the gateway, when it was asked last; nil: it was not
	wrong string       // what the gateway contradicts; empty: nothing
}

// head of a chain: the last fact that was accepted.
type head struct {
	sequence uint64
	id       string
}

// event takes in an event; false when it is a copy, or void.
func (j *journal) event(topic int, e event.Event, r broker.Record) bool {
	o := j.orders[e.Subject]
	if o == nil {
		o = &order{id: strings.Clone(e.Subject), partition: r.Partition} // the record need not be kept
		j.orders[o.id] = o
		j.ages = append(j.ages, o.id)
	}
	if e.Sequence == 0 {
		return true
	}
	h := &o.heads[topic]
	if h.id != "" && (e.Sequence != h.sequence+1 || e.PreviousID != h.id) {
		return false
	}
	*h = head{e.Sequence, strings.Clone(e.ID)}
	m, err := event.Decode(e)
	if err != nil {
		return true
	}
	at := r.Offset + 1
	switch body := m.Body.(type) {
	case *orderv1.OrderPlaced:
		o.placed, o.placedAt, o.total = at, e.Time, body.GetTotal()
	case *orderv1.OrderConfirmed:
		o.confirmed = at
	case *orderv1.OrderCancelled:
		o.cancelled = at
	case *paymentv1.PaymentSucceeded:
		o.succeeded = at
	case *paymentv1.PaymentDeclined:
		o.declined = at
	case *paymentv1.PaymentRefunded:
		o.refunded = at
	case *notificationv1.NotificationSent:
		o.sent = append(o.sent, bare(body.GetMessageId()))
		j.mails[bare(body.GetMessageId())] = o.id
	}
	if topic < 2 {
		j.changed[o.id] = true
	}
	if !o.measured && o.settled() {
		o.measured = true
		// Logs are read in no order of time.
		i, _ := slices.BinarySearchFunc(j.settled, e.Time, func(s settled, at time.Time) int { return s.at.Compare(at) })
		j.settled = slices.Insert(j.settled, i, settled{e.Time, e.Time.Sub(o.placedAt)})
		j.settled = j.settled[max(0, len(j.settled)-settles):]
	}
	return true
}

// settled: confirmed, or cancelled with its payment declined or refunded.
func (o *order) settled() bool {
	switch {
	case o.placed == 0:
		return false
	case o.cancelled > 0:
		return o.declined > 0 || o.refunded > 0
	}
	return o.confirmed > 0
}

// waitsFor is who must answer next, and what: a participant, a topic and an offset there.
func (o *order) waitsFor() (group, topic string, offset int64) {
	paid := max(o.succeeded, o.declined)
	switch {
	case paid == 0:
		return "payment", topics[0], o.placed - 1
	case o.cancelled > 0:
		return "payment", topics[0], o.cancelled - 1
	}
	return "order", topics[1], paid - 1
}

// judged says whether an order is young enough to be judged.
func (j *journal) judged(o *order) bool { return o.placed > 0 && o.placedAt.After(j.since) }

// forget drops the oldest orders beyond the bound.
func (j *journal) forget() {
	n := len(j.ages) - maxOrders
	for _, id := range j.ages[:max(0, n)] {
		o := j.orders[id]
		if o.placed > 0 {
			j.judgeFrom(o.placedAt)
		}
		for _, m := range o.sent {
			delete(j.mails, m)
		}
		delete(j.orders, id)
		delete(j.changed, id)
	}
	if n > 0 {
		j.ages = append([]string(nil), j.ages[n:]...)
	}
}
