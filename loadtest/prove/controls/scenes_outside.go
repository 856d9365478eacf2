package main

import (
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

// refusedForOurs: for a while the gateway refuses a parameter that no customer chose.
var refusedForOurs = scene{Name: "the gateway refuses the shop", Act: func(s *stage) {
	s.set(s.Gateway, "refuse_parameters", true)
	s.place(load.Plan{Orders: 5})
	s.pause(elapse) // each is refused by now
	s.mend(s.Gateway)
}}

// oversleeps: payment, and then order, are paused until the deadline of an order has passed; payment wakes up first.
var oversleeps = scene{Name: "paused past the deadline", Deadline: 3 * time.Second, Act: func(s *stage) {
	s.sleeps("payment")
	id := s.order()
	s.sleeps("order")
	s.pause(3*time.Second + elapse)
	s.do("payment", "resume")
	s.records("payment has given the order up", "payment.events.v1", id, 1)
	s.do("order", "resume")
}}

// putOff: the mail server puts half of the recipients off. Each of their mails waits alone, and comes when it is taken.
var putOff = scene{Name: "mails put off", Act: func(s *stage) {
	s.set(s.Mailbox, "defer_percent", 50)
	s.waitAlone("notification", 1, s.place(load.Plan{Orders: 24}))
	s.mend(s.Mailbox)
}}

// refundsPend: the gateway works on refunds for a while. Each waits alone.
var refundsPend = scene{Name: "refunds pending", Act: func(s *stage) {
	s.set(s.Gateway, "pend_refunds_ms", 20_000)
	placed := s.place(load.Plan{Orders: 12})
	s.rest()
	for _, e := range placed {
		s.cancel(e.ID)
	}
	s.waitAlone("payment", 2, placed)
	s.mend(s.Gateway)
}}

// waitAlone looks that a service soon has so many facts of each order, or has parked it: none of them is waited for by
// its lane.
func (s *stage) waitAlone(service string, facts int, orders []check.Expected) {
	for _, e := range orders {
		s.mended[e.ID] = true
	}
	err := s.until("each order is answered or waits alone at "+service, func() (bool, error) {
		told, err := s.count(service + ".events.v1")
		if err != nil {
			return false, err
		}
		parked, err := s.count(service + ".dead-letters.v1")
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
