package main

import (
	"context"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

// refusedForOurs: for a while the gateway refuses a parameter that no customer chose.
var refusedForOurs = scene{Name: "the gateway refuses the shop", Act: func(ctx context.Context, s *stage) error {
	gateway := func(settings map[string]any) error { return send(ctx, http.MethodPut, s.Gateway+"/control", settings) }
	if err := gateway(map[string]any{"refuse_parameters": true}); err != nil {
		return err
	}
	s.place(ctx, load.Plan{Orders: 5})
	pause(ctx, elapse) // each is refused by now
	return gateway(nil)
}}

// oversleeps: payment, and then order, are paused until the deadline of an order has passed; payment wakes up first.
var oversleeps = scene{Name: "paused past the deadline", Deadline: 3 * time.Second, Act: func(ctx context.Context, s *stage) error {
	defer func() { // whatever fails in between
		_ = s.Control.Do(context.WithoutCancel(ctx), "payment", "resume")
		_ = s.Control.Do(context.WithoutCancel(ctx), "order", "resume")
	}()
	if err := s.Do(ctx, "payment", "pause"); err != nil {
		return err
	}
	id, ok := s.order(ctx)
	if !ok {
		return nil
	}
	if err := s.Do(ctx, "order", "pause"); err != nil {
		return err
	}
	pause(ctx, 3*time.Second+elapse)
	if err := s.Do(ctx, "payment", "resume"); err != nil {
		return err
	}
	if err := s.until(ctx, "payment has given the order up", "payment.events.v1", id, 1); err != nil {
		return err
	}
	return s.Do(ctx, "order", "resume")
}}

// putOff: the mail server puts half of the recipients off. Each of their mails waits alone, and comes when it is taken.
var putOff = scene{Name: "mails put off", Act: func(ctx context.Context, s *stage) error {
	mailbox := func(percent int) error {
		return send(ctx, http.MethodPut, s.Mailbox+"/control", map[string]any{"defer_percent": percent})
	}
	if err := mailbox(50); err != nil {
		return err
	}
	s.waitAlone(ctx, "notification", 1, s.place(ctx, load.Plan{Orders: 24}))
	return mailbox(0)
}}

// refundsPend: the gateway works on refunds for a while. Each waits alone.
var refundsPend = scene{Name: "refunds pending", Act: func(ctx context.Context, s *stage) error {
	if err := send(ctx, http.MethodPut, s.Gateway+"/control", map[string]any{"pend_refunds_ms": 20_000}); err != nil {
		return err
	}
	placed := s.place(ctx, load.Plan{Orders: 12})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	for _, e := range placed {
		s.cancel(ctx, e.ID)
	}
	s.waitAlone(ctx, "payment", 2, placed)
	return send(ctx, http.MethodPut, s.Gateway+"/control", map[string]any{})
}}

// waitAlone looks that a service soon has so many facts of each order, or has parked it: none of them is waited for by
// its lane.
func (s *stage) waitAlone(ctx context.Context, service string, facts int, orders []check.Expected) {
	for _, e := range orders {
		s.mended[e.ID] = true
	}
	count := func(topic string) (map[string]int, error) {
		all, err := s.Log.Topic(ctx, topic, partitions)
		n := map[string]int{}
		for _, r := range all {
			n[string(r.Key)]++
		}
		return n, err
	}
	err := until(ctx, "each order is answered or waits alone at "+service, func() (bool, error) {
		told, err := count(service + ".events.v1")
		if err != nil {
			return false, err
		}
		parked, err := count(service + ".dead-letters.v1")
		for _, e := range orders {
			if told[e.ID] < facts && parked[e.ID] == 0 {
				return false, err
			}
		}
		return true, err
	})
	if err != nil {
		s.broke(check.Stuck, "", "%v", err)
	}
}
