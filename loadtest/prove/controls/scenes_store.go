package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/schemas/check"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

// unreadable makes a topic one that nobody can read.
func unreadable(topic string) control.Fault {
	return control.Fault{API: "fetch", Topic: topic, Error: "KAFKA_STORAGE_ERROR"}
}

// poison appends what nobody can read to a topic, under an order's key. by says who must park it.
func (s *stage) poison(ctx context.Context, topic, id, by string) error {
	return s.append(ctx, broker.Record{
		Topic: topic, Partition: broker.Partition([]byte(id), partitions), Key: []byte(id), Value: []byte("poison"),
		Headers: broker.HeadersOf(check.PoisonHeader, by),
	})
}

func (s *stage) append(ctx context.Context, r broker.Record) error {
	k := &kgo.Record{Topic: r.Topic, Partition: int32(r.Partition), Key: r.Key, Value: r.Value}
	for key, value := range r.Headers.All() {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: key, Value: value})
	}
	return s.kafka.ProduceSync(ctx, k).FirstErr()
}

// cancelBy cancels at the door of another instance than the one named.
func (s *stage) cancelBy(ctx context.Context, id, not string) {
	orders := s.Orders
	defer func() { s.Orders = orders }()
	if not == s.Processes("order")[0] {
		s.Orders = orders[1:]
	}
	s.cancel(ctx, id)
}

// wipedWhileIdle: Redis is wiped while nothing happens; then customers come.
var wipedWhileIdle = scene{Name: "Redis wiped while idle", Forgets: true, Act: func(ctx context.Context, s *stage) error {
	s.place(ctx, load.Plan{Orders: 3})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	if _, err := s.FlushRedis(ctx); err != nil {
		return err
	}
	pause(ctx, 2*elapse)
	s.place(ctx, load.Plan{Orders: 24})
	return nil
}}

// partlyWiped: Redis loses the orders that order keeps, and nothing else, while they are paid and mailed; then customers cancel and come.
var partlyWiped = scene{Name: "some keys lost while idle", Forgets: true, Act: func(ctx context.Context, s *stage) error {
	placed := s.place(ctx, load.Plan{Orders: 12})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	keys, err := s.redis.Keys(ctx, "{order:*}:orders:*").Result()
	if err == nil {
		err = s.redis.Del(ctx, keys...).Err()
	}
	if err != nil {
		return err
	}
	for _, e := range placed {
		s.cancel(ctx, e.ID)
	}
	s.place(ctx, load.Plan{Orders: 12})
	return nil
}}

// readModelRestored: Redis goes back to an older snapshot; the read model must read again what it has lost.
var readModelRestored = scene{Name: "the read model goes back", Forgets: true, Act: func(ctx context.Context, s *stage) error {
	s.place(ctx, load.Plan{Orders: 6})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	if err := s.Snapshot(ctx); err != nil {
		return err
	}
	s.place(ctx, load.Plan{Orders: 12})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	pause(ctx, elapse) // the positions are committed
	_, err := s.Restore(ctx)
	return err
}}

// lateDecision: a fact that somebody decided long ago, in the place of another one, comes late into the log.
var lateDecision = scene{Name: "a late fact", Forgets: true, Act: func(ctx context.Context, s *stage) error {
	id, ok := s.order(ctx)
	if !ok {
		return nil
	}
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	records, err := s.Log.Topic(ctx, "order.events.v1", partitions)
	if err != nil {
		return err
	}
	for _, r := range records {
		e, err := event.FromRecord(r)
		if err != nil || e.Subject != id || e.Sequence != 2 {
			continue
		}
		body := &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER, Email: "late@example.com"}
		e.ID, e.CausationID, e.Type = uuid.NewString(), uuid.NewString(), event.TypeOf(body)
		if e.Data, err = event.Encode(body); err != nil {
			return err
		}
		return s.append(ctx, event.ToRecord(e, r.Topic, r.Partition))
	}
	return fmt.Errorf("order %s has no second fact", id)
}}

// behindALetter: an order is parked, and then its customer cancels.
var behindALetter = scene{Name: "behind a dead letter", Act: func(ctx context.Context, s *stage) error {
	id, ok := s.order(ctx)
	if !ok {
		return nil
	}
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	if err := s.poison(ctx, "order.events.v1", id, "order,payment,notification"); err != nil {
		return err
	}
	s.parked[id] = true
	if err := s.until(ctx, "order has parked the poison", "order.dead-letters.v1", id, 1); err != nil {
		return err
	}
	s.cancel(ctx, id)
	s.place(ctx, load.Plan{Orders: 5})
	return nil
}}

// redriven: the gateway refuses an order, which is parked; then it is put right, and the order redriven.
var redriven = scene{Name: "redriven after a fix", Act: func(ctx context.Context, s *stage) error {
	refuse := func(percent int) error {
		return send(ctx, http.MethodPut, s.Gateway+"/control", map[string]any{"refuse_percent": percent})
	}
	if err := refuse(100); err != nil {
		return err
	}
	id, ok := s.order(ctx)
	if !ok {
		return nil
	}
	s.mended[id] = true
	if err := s.until(ctx, "payment has parked the order", "payment.dead-letters.v1", id, 1); err != nil {
		return err
	}
	if err := refuse(0); err != nil {
		return err
	}
	request := deadletter.Request{
		ID: uuid.NewString(), Action: deadletter.Redrive, Order: id, By: "controls", Reason: "the gateway is right again",
		Partition: broker.Partition([]byte(id), partitions), At: time.Now(),
	}
	if err := s.append(ctx, request.Record("payment")); err != nil {
		return err
	}
	return s.until(ctx, "the redrive is closed", "payment.dead-letters.v1", id, 3)
}}

// send sends a JSON document.
func send(ctx context.Context, method, url string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return problem.Read(resp)
}

// foldedByOthers: what Redis holds was folded by code that thought otherwise, and the service starts anew.
var foldedByOthers = scene{Name: "folded by older code", Act: func(ctx context.Context, s *stage) error {
	placed := s.place(ctx, load.Plan{Orders: 6})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	for _, e := range placed {
		task := fmt.Sprintf("{order:%d}:", broker.Partition([]byte(e.ID), partitions))
		orders, err := s.redis.Keys(ctx, task+"orders:*").Result()
		if err != nil {
			return err
		}
		if len(orders) != 1 {
			return fmt.Errorf("%s keeps its orders in %q, not in one hash", task, orders)
		}
		text, err := s.redis.HGet(ctx, orders[0], e.ID).Result()
		if err != nil {
			return err
		}
		older := strings.Replace(text, `"status":"confirmed"`, `"status":"cancelled"`, 1) // of the same length, which the text says
		if err := s.redis.HSet(ctx, orders[0], e.ID, older).Err(); err != nil {
			return err
		}
		if err := s.redis.HSet(ctx, task+"meta", "fold_version", "0.0").Err(); err != nil {
			return err
		}
	}
	if err := s.Kill(ctx, "order"); err != nil {
		return err
	}
	for _, e := range placed {
		s.cancel(ctx, e.ID)
	}
	return nil
}}

// resetsInItsSleep: an instance falls asleep while it resets a partition, and goes on when that has long been another's.
var resetsInItsSleep = scene{Name: "resets a partition in its sleep", Instances: 2, Act: func(ctx context.Context, s *stage) error {
	placed := s.place(ctx, load.Plan{Orders: 24})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	for p := range partitions {
		if err := s.redis.HSet(ctx, fmt.Sprintf("{order:%d}:meta", p), "fold_version", "0.0").Err(); err != nil {
			return err
		}
	}
	held := s.Proxies.Redis.Hold(func(c hold.Command) bool { return removes(c, "order") }, hold.Before)
	defer held.Drop()
	if err := s.Do(ctx, "order", "kill"); err != nil {
		return err
	}
	sleeper, err := hit(ctx, held)
	if err != nil {
		return err
	}
	if err := s.Do(ctx, sleeper.Client, "pause"); err != nil {
		return err
	}
	if err := s.Member(ctx, "order", sleeper.Client, false); err != nil {
		return err
	}
	meta := fmt.Sprintf("{order:%d}:meta", sleeper.Partition)
	err = until(ctx, "the other instance has folded the partition", func() (bool, error) {
		v, err := s.redis.HMGet(ctx, meta, "fold_version", "folded").Result()
		return err == nil && v[0] != nil && v[1] != nil, err
	})
	if err != nil {
		return err
	}
	pause(ctx, elapse)
	held.Release()
	pause(ctx, elapse)
	for _, process := range s.Processes("order") {
		if err := s.Do(ctx, process, "kill"); err != nil {
			return err
		}
	}
	for _, e := range placed {
		if broker.Partition([]byte(e.ID), partitions) == sleeper.Partition {
			s.cancel(ctx, e.ID)
		}
	}
	return nil
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
