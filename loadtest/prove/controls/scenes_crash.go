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

// dies is a scene in which a process is killed while a call is held at a crash point, and Redis may forget at the same
// time. What the process marks, commits or answers too early is so by then.
func dies(name, point, service string, deadline time.Duration, wiped bool) scene {
	return scene{Name: name, Deadline: deadline, Forgets: wiped, Act: func(s *stage) {
		held := s.arm(point, service)
		s.order()
		died := s.hit(held)
		s.pause(elapse)
		s.dies(died.Client, wiped)
	}}
}

var (
	diesAtWork           = dies("dies at work", "before-charge", "payment", 5*time.Second, false)
	diesAtWorkWiped      = dies("dies at work, Redis wiped", "before-charge", "payment", 5*time.Second, true)
	diesWithAnOutbox     = dies("dies with an outbox, Redis wiped", "before-publish", "payment", 5*time.Second, true)
	diesWhenItHasCharged = dies("charged and dead", "after-charge", "payment", 0, false) // and nobody knows
)

// dies kills a process, and wipes Redis, when that is asked for, before another takes its place.
func (s *stage) dies(process string, wiped bool) {
	if wiped {
		s.do(process, "pause")
		s.flush()
	}
	s.kill(process)
}

// deliveredAgain: an event is answered, its offset not committed, and Redis wiped.
var deliveredAgain = scene{Name: "delivered again, Redis wiped", Forgets: true, Act: func(s *stage) {
	held := s.arm("before-commit", "notification")
	id := s.order()
	died := s.hit(held)
	s.records("the mail is told of in the log", "notification.events.v1", id, 1)
	s.dies(died.Client, true)
}}

// backAfterTheDeadline: the gateway has charged, and nobody knows until the deadline has passed.
var backAfterTheDeadline = scene{
	Name: "charged and dead, back after the deadline", Deadline: 4 * time.Second, Act: func(s *stage) {
		held := s.arm("after-charge", "payment")
		s.order()
		died := s.hit(held)
		s.do(died.Client, "pause")
		s.pause(4*time.Second + elapse)
		s.kill(died.Client)
	},
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
	s.out("order", sleeper.Client)
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
