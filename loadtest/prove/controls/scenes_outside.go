package main

import (
	"context"
	"net/http"
	"time"

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
