package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
)

const (
	// toldWithin bounds the wait until every service has asked Redis for its time: each does every 10 s.
	toldWithin = 30 * time.Second
	// begunWithin is how long what was begun before its service was told may take: longer than an answer of the gateway.
	begunWithin = 3 * time.Second
)

var errNobody = errors.New("no customer was refused: no order service answered")

// SkewClock lets Redis' clock be ahead for a while, and lets customers knock. No service can know whose clock is wrong then: none may take
// an order, or decide a deadline. seen says that all were told; the error, that they were not.
//
// It is never behind: services date facts back by as much then, which looks from outside as if they had been decided too early.
func (r *Rig) SkewClock(ctx context.Context, by, length time.Duration) (seen string, wrong []check.Violation, err error) {
	defer func() { err = errors.Join(err, r.shift(context.WithoutCancel(ctx), 0)) }()
	if err := r.shift(ctx, by); err != nil {
		return "", nil, err
	}
	_ = wait.Sleep(ctx, begunWithin) // the caller looks at ctx
	from := time.Now()
	k := r.knock(ctx)
	_ = wait.Sleep(ctx, length-time.Since(from)) // the caller looks at ctx
	to := time.Now()
	decided, err := r.decided(ctx, from, to)
	wrong = append(k.wrong("no clock could be believed"), decided...)
	if err == nil && k.refused+len(wrong) == 0 {
		err = errNobody
	}
	return fmt.Sprintf("every service was told of a time %s ahead; %d customers were refused", by, k.refused), wrong, err
}

// shift blocks until each service that decides was told the time as it is then.
func (r *Rig) shift(ctx context.Context, by time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	r.Proxies.Redis.ShiftTime(by)
	for _, service := range []string{"order", "payment", "notification"} {
		for _, process := range r.Processes(service) {
			err := Until(ctx, process+" hears Redis' time", func() (string, error) {
				if !r.Proxies.Redis.ToldTime(process) {
					return "it has not asked", nil
				}
				return "", nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// decided returns the orders that were placed between two moments, and the deadlines that were decided.
func (r *Rig) decided(ctx context.Context, from, to time.Time) (found []check.Violation, err error) {
	var late []string // payments that were given up for their deadline, by ids of events
	for _, topic := range []string{"payment.events.v1", "order.events.v1"} {
		records, err := r.Log.Topic(ctx, topic, Partitions)
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			e, err := event.FromRecord(rec)
			if err != nil {
				continue // poison
			}
			m, err := event.Decode(e)
			if err != nil {
				continue
			}
			what := ""
			switch body := m.Body.(type) {
			case *paymentv1.PaymentDeclined:
				if body.GetReason() == "payment_timeout" {
					late, what = append(late, e.ID), "its payment was given up for its deadline"
				}
			case *orderv1.OrderPlaced:
				what = "it was placed"
			case *orderv1.OrderCancelled:
				if body.GetReason() == orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT && !slices.Contains(late, e.CausationID) {
					what = "it was cancelled at its deadline"
				}
			}
			if what != "" && e.Time.After(from) && e.Time.Before(to) {
				found = append(found, check.Violation{Guarantee: check.Choreography, Order: e.Subject,
					Text: what + " while no clock could be believed"})
			}
		}
	}
	return found, nil
}
