package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// everyday is nothing but customers, each of whom presses the button twice.
var everyday = scene{Name: "everyday", Act: customers}

// foldedAnew is the same, after which the read model, which was written bit by bit, is compared with one written at once.
var foldedAnew = scene{Name: "everyday, folded anew", Anew: true, Act: customers}

func customers(ctx context.Context, s *stage) error {
	s.place(ctx, load.Plan{Orders: 20, TwiceOneIn: 1, CancelledOneIn: 4, DeclinedOneIn: 6})
	return nil
}

// diesAtWork: a process dies while the answer of an event is under way. With flush, Redis forgets at the same time.
func diesAtWork(flush bool) scene {
	name := "dies at work"
	if flush {
		name = "dies at work, Redis wiped"
	}
	return scene{Name: name, Deadline: 5 * time.Second, Forgets: flush, Act: func(ctx context.Context, s *stage) error {
		held, err := s.arm("before-charge", "payment")
		if err != nil {
			return err
		}
		defer held.Drop()
		s.order(ctx)
		died, err := hit(ctx, held)
		if err != nil {
			return err
		}
		pause(ctx, elapse) // what is marked or committed too early is so by now
		return s.dies(ctx, died.Client, flush)
	}}
}

// dies kills a process, and with flush wipes Redis before another takes its place.
func (s *stage) dies(ctx context.Context, process string, flush bool) error {
	if flush {
		if err := s.Do(ctx, process, "pause"); err != nil {
			return err
		}
		if _, err := s.FlushRedis(ctx); err != nil {
			return err
		}
	}
	return s.Kill(ctx, process)
}

// diesWithAnOutbox: what was decided is in the outbox and nowhere else when process and Redis go.
var diesWithAnOutbox = scene{Name: "dies with an outbox, Redis wiped", Deadline: 5 * time.Second, Forgets: true,
	Act: func(ctx context.Context, s *stage) error {
		held, err := s.arm("before-publish", "payment")
		if err != nil {
			return err
		}
		defer held.Drop()
		s.order(ctx)
		died, err := hit(ctx, held)
		if err != nil {
			return err
		}
		pause(ctx, elapse)
		return s.dies(ctx, died.Client, true)
	}}

// deliveredAgain: an event is answered, its offset not committed, and Redis wiped.
var deliveredAgain = scene{Name: "delivered again, Redis wiped", Forgets: true, Act: func(ctx context.Context, s *stage) error {
	held, err := s.arm("before-commit", "notification")
	if err != nil {
		return err
	}
	defer held.Drop()
	id, ok := s.order(ctx)
	if !ok {
		return nil
	}
	died, err := hit(ctx, held)
	if err != nil {
		return err
	}
	if err := s.until(ctx, "the mail is told of in the log", "notification.events.v1", id, 1); err != nil {
		return err
	}
	return s.dies(ctx, died.Client, true)
}}

// until waits until a topic has so many records of an order.
func (s *stage) until(ctx context.Context, what, topic, id string, records int) error {
	return until(ctx, what, func() (bool, error) {
		all, err := s.Log.Topic(ctx, topic, partitions)
		n := 0
		for _, r := range all {
			if string(r.Key) == id {
				n++
			}
		}
		return n >= records, err
	})
}

// chargedAndDead: the gateway has charged, and nobody knows. With late, the process comes back when the deadline has passed.
func chargedAndDead(late bool) scene {
	sc := scene{Name: "charged and dead"}
	if late {
		sc.Name, sc.Deadline = "charged and dead, back after the deadline", 4*time.Second
	}
	sc.Act = func(ctx context.Context, s *stage) error {
		held, err := s.arm("after-charge", "payment")
		if err != nil {
			return err
		}
		defer held.Drop()
		s.order(ctx)
		died, err := hit(ctx, held)
		if err != nil {
			return err
		}
		if late {
			if err := s.Do(ctx, died.Client, "pause"); err != nil {
				return err
			}
			pause(ctx, sc.Deadline+elapse)
		}
		return s.Kill(ctx, died.Client)
	}
	return sc
}

// answeredAndDead: the process dies that took an order, while it is on its way to the broker.
var answeredAndDead = scene{Name: "the door's process dies", Act: func(ctx context.Context, s *stage) error {
	held, err := s.arm("before-door-publish", "order")
	if err != nil {
		return err
	}
	defer held.Drop()
	var customer sync.WaitGroup
	defer customer.Wait()
	customer.Go(func() { s.order(ctx) })
	died, err := hit(ctx, held)
	if err != nil {
		return err
	}
	pause(ctx, elapse) // whoever is answered too early is so by now
	return s.Kill(ctx, died.Client)
}}

// sleepsBeforeApply: an instance that decided sleeps before Redis has it, until its partition is another's. Meanwhile the customer
// cancelled, and the other instance has decided otherwise. What the sleeper had already sent to the broker comes last.
var sleepsBeforeApply = scene{Name: "sleeps before it applies", Instances: 2, Act: func(ctx context.Context, s *stage) error {
	charge, err := s.arm("before-charge", "payment")
	if err != nil {
		return err
	}
	defer charge.Drop()
	id, ok := s.order(ctx)
	if !ok {
		return nil
	}
	if _, err := hit(ctx, charge); err != nil {
		return err
	}
	apply, err := s.arm("before-apply", "order")
	if err != nil {
		return err
	}
	defer apply.Drop()
	publish, err := s.arm("before-publish", "order")
	if err != nil {
		return err
	}
	defer publish.Drop()
	charge.Release() // the payment succeeds
	sleeper, err := hit(ctx, apply)
	if err != nil {
		return err
	}
	select {
	case <-publish.Hit():
	case <-time.After(elapse):
		publish.Drop() // nothing was sent: what the other instance sends is not held
	}
	if err := s.Do(ctx, sleeper.Client, "pause"); err != nil {
		return err
	}
	// The other must not hear of the payment before the customer, or it decides the same.
	if _, err := s.Control.SetFaults(ctx, unreadable("payment.events.v1")); err != nil {
		return err
	}
	if err := s.Member(ctx, "order", sleeper.Client, false); err != nil {
		return err
	}
	s.cancelBy(ctx, id, sleeper.Client)
	if err := s.until(ctx, "the other instance has cancelled", "order.events.v1", id, 3); err != nil {
		return err
	}
	if _, err := s.Control.SetFaults(ctx); err != nil {
		return err
	}
	publish.Release()
	apply.Drop()
	return s.Do(ctx, sleeper.Client, "resume")
}}

// letterOvertakes: a dead letter and the fact before it are in the outbox, the fact's way is blocked; then process and Redis go.
var letterOvertakes = scene{Name: "a letter beside a fact, Redis wiped", Forgets: true, Act: func(ctx context.Context, s *stage) error {
	held := s.Proxies.Kafka.Hold(func(r hold.Request) bool {
		return r.Key == kmsg.Produce && slices.ContainsFunc(r.Logs, func(l hold.Log) bool { return l.Topic == "notification.events.v1" })
	}, hold.Before)
	defer held.Drop()
	id, ok := s.order(ctx)
	if !ok {
		return nil
	}
	died, err := hit(ctx, held)
	if err != nil {
		return err
	}
	if err := s.poison(ctx, "order.events.v1", id, "order,payment,notification"); err != nil {
		return err
	}
	if err := s.until(ctx, "order has parked the poison", "order.dead-letters.v1", id, 1); err != nil {
		return err
	}
	pause(ctx, elapse)
	return s.dies(ctx, died.Client, true)
}}

// heldAndDead: an event waits for a cause that cannot be read yet, and the process dies.
var heldAndDead = scene{Name: "dies with an event held", Act: func(ctx context.Context, s *stage) error {
	if err := s.Do(ctx, "notification", "pause"); err != nil {
		return err
	}
	defer func() { _ = s.Do(context.WithoutCancel(ctx), "notification", "resume") }()
	id, ok := s.order(ctx)
	if !ok {
		return nil
	}
	if err := s.until(ctx, "the order is confirmed", "order.events.v1", id, 2); err != nil {
		return err
	}
	s.cancel(ctx, id)
	if err := s.until(ctx, "the order is refunded", "payment.events.v1", id, 2); err != nil {
		return err
	}
	if _, err := s.Control.SetFaults(ctx, unreadable("order.events.v1")); err != nil {
		return err
	}
	if err := s.Do(ctx, "notification", "resume"); err != nil {
		return err
	}
	pause(ctx, 2*elapse)
	if err := s.Kill(ctx, "notification"); err != nil {
		return err
	}
	_, err := s.Control.SetFaults(ctx)
	return err
}}

// restoredUnnoticed: Redis goes back to an older snapshot while services run; some time later they start anew.
var restoredUnnoticed = scene{Name: "Redis restored from an older snapshot", Forgets: true, Act: func(ctx context.Context, s *stage) error {
	quiet := func() error { return s.quiet(ctx, hitWithin) }
	s.place(ctx, load.Plan{Orders: 12})
	if err := quiet(); err != nil {
		return err
	}
	if err := s.Snapshot(ctx); err != nil {
		return err
	}
	between := s.place(ctx, load.Plan{Orders: 24})
	if err := quiet(); err != nil {
		return err
	}
	if _, err := s.Restore(ctx); err != nil {
		return err
	}
	s.place(ctx, load.Plan{Orders: 24})
	pause(ctx, 2*elapse)
	for _, service := range []string{"order", "payment", "notification"} {
		if err := s.Kill(ctx, service); err != nil {
			return fmt.Errorf("kill %s: %w", service, err)
		}
	}
	for _, e := range between[:min(6, len(between))] {
		s.cancel(ctx, e.ID)
	}
	return nil
}}
