package main

import (
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

func customers(s *stage) {
	s.place(load.Plan{Orders: 20, TwiceOneIn: 1, CancelledOneIn: 4, DeclinedOneIn: 6})
}

// diesAtWork: a process dies while the answer of an event is under way. With flush, Redis forgets at the same time.
func diesAtWork(flush bool) scene {
	name := "dies at work"
	if flush {
		name = "dies at work, Redis wiped"
	}
	return scene{Name: name, Deadline: 5 * time.Second, Forgets: flush, Act: func(s *stage) {
		held := s.arm("before-charge", "payment")
		s.order()
		died := s.hit(held)
		s.pause(elapse) // what is marked or committed too early is so by now
		s.dies(died.Client, flush)
	}}
}

// dies kills a process, and with flush wipes Redis before another takes its place.
func (s *stage) dies(process string, flush bool) {
	if flush {
		s.do(process, "pause")
		s.flush()
	}
	s.kill(process)
}

// diesWithAnOutbox: what was decided is in the outbox and nowhere else when process and Redis go.
var diesWithAnOutbox = scene{Name: "dies with an outbox, Redis wiped", Deadline: 5 * time.Second, Forgets: true, Act: func(s *stage) {
	held := s.arm("before-publish", "payment")
	s.order()
	died := s.hit(held)
	s.pause(elapse)
	s.dies(died.Client, true)
}}

// deliveredAgain: an event is answered, its offset not committed, and Redis wiped.
var deliveredAgain = scene{Name: "delivered again, Redis wiped", Forgets: true, Act: func(s *stage) {
	held := s.arm("before-commit", "notification")
	id := s.order()
	died := s.hit(held)
	s.records("the mail is told of in the log", "notification.events.v1", id, 1)
	s.dies(died.Client, true)
}}

// chargedAndDead: the gateway has charged, and nobody knows. With late, the process comes back when the deadline has passed.
func chargedAndDead(late bool) scene {
	sc := scene{Name: "charged and dead"}
	if late {
		sc.Name, sc.Deadline = "charged and dead, back after the deadline", 4*time.Second
	}
	sc.Act = func(s *stage) {
		held := s.arm("after-charge", "payment")
		s.order()
		died := s.hit(held)
		if late {
			s.do(died.Client, "pause")
			s.pause(sc.Deadline + elapse)
		}
		s.kill(died.Client)
	}
	return sc
}

// answeredAndDead: the process dies that took an order, while it is on its way to the broker.
var answeredAndDead = scene{Name: "the door's process dies", Act: func(s *stage) {
	held := s.arm("before-door-publish", "order")
	var customer sync.WaitGroup
	s.after(customer.Wait)
	customer.Go(func() { s.place(load.Plan{Orders: 1}) })
	died := s.hit(held)
	s.pause(elapse) // whoever is answered too early is so by now
	s.kill(died.Client)
}}

// sleepsBeforeApply: an instance that decided sleeps before Redis has it, until its partition is another's. Meanwhile the customer
// cancelled, and the other instance has decided otherwise. What the sleeper had already sent to the broker comes last.
var sleepsBeforeApply = scene{Name: "sleeps before it applies", Instances: 2, Act: func(s *stage) {
	charge := s.arm("before-charge", "payment")
	id := s.order()
	s.hit(charge)
	apply, publish := s.arm("before-apply", "order"), s.arm("before-publish", "order")
	charge.Release() // the payment succeeds
	sleeper := s.hit(apply)
	select {
	case <-publish.Hit():
	case <-time.After(elapse):
		publish.Drop() // nothing was sent: what the other instance sends is not held
	}
	s.do(sleeper.Client, "pause")
	// The other must not hear of the payment before the customer, or it decides the same.
	readable := s.Proxies.Kafka.Unreadable("payment.events.v1")
	s.after(readable)
	s.must(s.Member(s.ctx, "order", sleeper.Client, false))
	s.cancelBy(id, sleeper.Client)
	s.records("the other instance has cancelled", "order.events.v1", id, 3)
	readable()
	publish.Release()
	apply.Drop()
	s.do(sleeper.Client, "resume")
}}

// letterOvertakes: a dead letter and the fact before it are in the outbox, the fact's way is blocked; then process and Redis go.
var letterOvertakes = scene{Name: "a letter beside a fact, Redis wiped", Forgets: true, Act: func(s *stage) {
	held := s.Proxies.Kafka.Hold(func(r hold.Request) bool {
		return r.Key == kmsg.Produce && slices.ContainsFunc(r.Logs, func(l hold.Log) bool { return l.Topic == "notification.events.v1" })
	}, hold.Before)
	s.after(held.Drop)
	id := s.order()
	died := s.hit(held)
	s.poison("order.events.v1", id, "order,payment,notification")
	s.records("order has parked the poison", "order.dead-letters.v1", id, 1)
	s.pause(elapse)
	s.dies(died.Client, true)
}}

// heldAndDead: an event waits for a cause that cannot be read yet, and the process dies.
var heldAndDead = scene{Name: "dies with an event held", Act: func(s *stage) {
	s.sleeps("notification")
	id := s.order()
	s.records("the order is confirmed", "order.events.v1", id, 2)
	s.cancel(id)
	s.records("the order is refunded", "payment.events.v1", id, 2)
	readable := s.Proxies.Kafka.Unreadable("order.events.v1")
	s.after(readable)
	s.do("notification", "resume")
	s.pause(2 * elapse)
	s.kill("notification")
}}

// restoredUnnoticed: Redis goes back to an older snapshot while services run; some time later they start anew.
var restoredUnnoticed = scene{Name: "Redis restored from an older snapshot", Forgets: true, Act: func(s *stage) {
	s.place(load.Plan{Orders: 12})
	s.rest()
	s.must(s.Snapshot(s.ctx))
	between := s.place(load.Plan{Orders: 24})
	s.rest()
	s.restore()
	s.place(load.Plan{Orders: 24})
	s.pause(2 * elapse)
	for _, service := range []string{"order", "payment", "notification"} {
		s.kill(service)
	}
	for _, e := range between[:min(6, len(between))] {
		s.cancel(e.ID)
	}
}}
