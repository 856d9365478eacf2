package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
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
	keys, err := s.redis.Keys(s.ctx, "{order:*}:orders:*").Result()
	s.must(err)
	s.must(s.redis.Del(s.ctx, keys...).Err())
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
		s.append(event.ToRecord(e, r.Topic, r.Partition))
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
	s.append(request.Record("payment"))
	s.records("the redrive is closed", "payment.dead-letters.v1", id, 3)
}}

// foldedByOthers: what Redis holds was folded by code that thought otherwise, and the service starts anew.
var foldedByOthers = scene{Name: "folded by older code", Act: func(s *stage) {
	placed := s.place(load.Plan{Orders: 6})
	s.rest()
	for _, e := range placed {
		task := fmt.Sprintf("{order:%d}:", broker.Partition([]byte(e.ID), partitions))
		orders, err := s.redis.Keys(s.ctx, task+"orders:*").Result()
		s.must(err)
		if len(orders) != 1 {
			s.must(fmt.Errorf("%s keeps its orders in %q, not in one hash", task, orders))
		}
		text, err := s.redis.HGet(s.ctx, orders[0], e.ID).Result()
		s.must(err)
		older := strings.Replace(text, `"status":"confirmed"`, `"status":"cancelled"`, 1) // of the same length, which the text says
		s.must(s.redis.HSet(s.ctx, orders[0], e.ID, older).Err())
		s.must(s.redis.HSet(s.ctx, task+"meta", "fold_version", "0.0").Err())
	}
	s.kill("order")
	for _, e := range placed {
		s.cancel(e.ID)
	}
}}

// resetsInItsSleep: an instance falls asleep while it resets a partition, and goes on when that has long been another's.
var resetsInItsSleep = scene{Name: "resets a partition in its sleep", Instances: 2, Act: func(s *stage) {
	placed := s.place(load.Plan{Orders: 24})
	s.rest()
	for p := range partitions {
		s.must(s.redis.HSet(s.ctx, fmt.Sprintf("{order:%d}:meta", p), "fold_version", "0.0").Err())
	}
	held := s.Proxies.Redis.Hold(func(c hold.Command) bool { return removes(c, "order") }, hold.Before)
	s.after(held.Drop)
	s.do("order", "kill")
	sleeper := s.hit(held)
	s.do(sleeper.Client, "pause")
	s.must(s.Member(s.ctx, "order", sleeper.Client, false))
	meta := fmt.Sprintf("{order:%d}:meta", sleeper.Partition)
	s.must(s.until("the other instance has folded the partition", func() (bool, error) {
		v, err := s.redis.HMGet(s.ctx, meta, "fold_version", "folded").Result()
		return err == nil && v[0] != nil && v[1] != nil, err
	}))
	s.pause(elapse)
	held.Release()
	s.pause(elapse)
	for _, process := range s.Processes("order") {
		s.do(process, "kill")
	}
	for _, e := range placed {
		if broker.Partition([]byte(e.ID), partitions) == sleeper.Partition {
			s.cancel(e.ID)
		}
	}
}}

// removes is true for the script that deletes keys of a partition which is reset: it has many keys and one argument, the owner.
func removes(c hold.Command, service string) bool {
	of, _, ok := c.Task()
	if !ok || of != service {
		return false
	}
	keys, err := strconv.Atoi(c.Args[2])
	return err == nil && keys > 1 && len(c.Args) == 3+keys+1
}
