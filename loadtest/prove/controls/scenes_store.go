package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/check"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

// wipedWhileIdle: Redis is wiped while nothing happens; then customers come.
var wipedWhileIdle = scene{Name: "Redis wiped while idle", Forgets: true, Act: func(s *stage) {
	s.place(load.Plan{Orders: 3})
	s.rest()
	s.flush()
	s.pause(2 * elapse)
	s.place(load.Plan{Orders: 24})
}}

// partlyWiped: Redis loses the orders that order keeps, and nothing else, while they are paid and mailed; then customers cancel and come.
var partlyWiped = scene{Name: "some keys lost while idle", Forgets: true, Act: func(s *stage) {
	placed := s.place(load.Plan{Orders: 12})
	s.rest()
	keys, err := s.Store.Keys(s.ctx, "{order:*}:orders:*").Result()
	s.must(err)
	s.must(s.Store.Del(s.ctx, keys...).Err())
	for _, e := range placed {
		s.cancel(e.ID)
	}
	s.place(load.Plan{Orders: 12})
}}

// readModelRestored: Redis goes back to an older snapshot; the read model must read again what it has lost.
var readModelRestored = scene{Name: "the read model goes back", Forgets: true, Act: func(s *stage) {
	s.place(load.Plan{Orders: 6})
	s.rest()
	s.must(s.Snapshot(s.ctx))
	s.place(load.Plan{Orders: 12})
	s.rest()
	s.pause(elapse) // the positions are committed
	s.restore()
}}

// lateDecision: a fact that somebody decided long ago, in the place of another one, comes late into the log.
var lateDecision = scene{Name: "a late fact", Forgets: true, Act: func(s *stage) {
	id := s.order()
	s.rest()
	records, err := s.Log.Topic(s.ctx, "order.events.v1", partitions)
	s.must(err)
	for _, r := range records {
		e, err := event.FromRecord(r)
		if err != nil || e.Subject != id || e.Sequence != 2 {
			continue
		}
		body := &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER, Email: "late@example.com"}
		e.ID, e.CausationID, e.Type = uuid.NewString(), uuid.NewString(), event.TypeOf(body)
		e.Data, err = event.Encode(body)
		s.must(err)
		s.append(rig.Record(event.ToRecord(e, r.Topic, r.Partition)))
		return
	}
	s.must(fmt.Errorf("order %s has no second fact", id))
}}

// behindALetter: an order is parked, and then its customer cancels.
var behindALetter = scene{Name: "behind a dead letter", Act: func(s *stage) {
	id := s.order()
	s.rest()
	s.poison("order.events.v1", id, "order,payment,notification")
	s.parked[id] = true
	s.records("order has parked the poison", "order.dead-letters.v1", id, 1)
	s.cancel(id)
	s.place(load.Plan{Orders: 5})
}}

// redriven: the gateway refuses an order, which is parked; then it is put right, and the order redriven.
var redriven = scene{Name: "redriven after a fix", Act: func(s *stage) {
	s.set(s.Gateway, "refuse_percent", 100)
	id := s.order()
	s.mended[id] = true
	s.records("payment has parked the order", "payment.dead-letters.v1", id, 1)
	s.mend(s.Gateway)
	request := deadletter.Request{
		ID: uuid.NewString(), Action: deadletter.Redrive, Order: id, By: "controls", Reason: "the gateway is right again",
		Partition: broker.Partition([]byte(id), partitions), At: time.Now(),
	}
	s.append(rig.Record(request.Record("payment")))
	s.records("the redrive is closed", "payment.dead-letters.v1", id, 3)
}}

// foldedByOthers: what Redis holds was folded by code that thought otherwise, and the service starts anew.
var foldedByOthers = scene{Name: "folded by older code", Act: func(s *stage) {
	placed := s.place(load.Plan{Orders: 6})
	s.rest()
	for _, e := range placed {
		task := fmt.Sprintf("{order:%d}:", broker.Partition([]byte(e.ID), partitions))
		orders, err := s.Store.Keys(s.ctx, task+"orders:*").Result()
		s.must(err)
		if len(orders) != 1 {
			s.must(fmt.Errorf("%s keeps its orders in %q, not in one hash", task, orders))
		}
		text, err := s.Store.HGet(s.ctx, orders[0], e.ID).Result()
		s.must(err)
		older := strings.Replace(text, `"status":"confirmed"`, `"status":"cancelled"`, 1) // of the same length, which the text says
		s.must(s.Store.HSet(s.ctx, orders[0], e.ID, older).Err())
		s.must(s.Store.HSet(s.ctx, task+"meta", "fold_version", "0.0").Err())
	}
	s.kill("order")
	for _, e := range placed {
		s.cancel(e.ID)
	}
}}

// decidesInItsSleep: an instance falls asleep with a change on its way to the store. It arrives when another instance has taken the
// partition over, and has waited in vain for the answer to a change of its own: who compares seq alone takes the sleeper's change for
// its own at the next try, and what it decided is forgotten with its next death.
var decidesInItsSleep = scene{Name: "decides in its sleep", Instances: 2, Act: func(s *stage) {
	var slept, waited []string
	late := s.Proxies.Redis.Hold(func(c hold.Command) bool {
		slept = decided(c, "payment")
		return len(slept) > 0
	}, hold.Before)
	s.after(late.Drop)
	placed := s.place(load.Plan{Orders: 8 * partitions})
	sleeper := s.hit(late)
	s.do(sleeper.Client, "pause")
	tried := s.Proxies.Redis.Hold(func(c hold.Command) bool {
		_, p, _ := c.Task()
		waited = decided(c, "payment")
		return len(waited) > 0 && p == sleeper.Partition && c.Client != sleeper.Client
	}, hold.Before)
	s.after(tried.Drop)
	orders := s.Processes("order")
	for _, process := range orders { // or its answers have payment write the same once more
		s.sleeps(process)
	}
	s.out("payment", sleeper.Client)
	s.hit(tried)
	if !slices.ContainsFunc(waited, func(id string) bool { return !slices.Contains(slept, id) }) {
		s.must(errors.New("the other instance has decided nothing else"))
	}
	late.Release()
	placed = slices.DeleteFunc(placed, func(e check.Expected) bool {
		return broker.Partition([]byte(e.ID), partitions) != sleeper.Partition
	})
	s.must(s.until("the other instance has published, and written how far", func() (bool, error) {
		at, err := s.Store.HGet(s.ctx, fmt.Sprintf("{payment:%d}:meta", sleeper.Partition), "own:payment.events.v1").Int()
		return at >= len(placed), err
	}))
	for _, process := range s.Processes("payment") {
		s.do(process, "kill")
	}
	for _, process := range orders {
		s.do(process, "resume")
	}
	for _, e := range placed {
		s.cancel(e.ID)
	}
}}

// decided are the orders of a change of a service's task that puts something into the outbox.
func decided(c hold.Command, service string) (ids []string) {
	if of, _, ok := c.Task(); !ok || of != service || !c.Decides() {
		return nil
	}
	for _, op := range c.Change() {
		if op.Cmd == "HSET" && strings.Contains(op.Key, "}:orders:") {
			for i := 0; i < len(op.Args); i += 2 {
				ids = append(ids, op.Args[i])
			}
		}
	}
	return ids
}
